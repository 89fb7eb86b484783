package target

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// ask gets a path from our server's admin address.
func (t *Target) ask(ctx context.Context, path string) ([]byte, error) {
	if t.Admin == "" {
		return nil, errors.New("target: the server has no admin address to ask")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.Admin+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Close = true // the server counts connections
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("target: %s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// Metrics are what our server counts, by name; those with labels are left out.
type Metrics map[string]float64

// Metrics asks our server what it counts.
func (t *Target) Metrics(ctx context.Context) (Metrics, error) {
	text, err := t.ask(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	return readMetrics(text)
}

// readMetrics reads lines of "name value" (Prometheus text format 0.0.4).
func readMetrics(text []byte) (Metrics, error) {
	m := make(Metrics)
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || name == "#" || strings.HasSuffix(name, "}") || strings.Contains(name, "{") {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("target: metric %s is %q", name, value)
		}
		m[name] = v
	}
	return m, lines.Err()
}
