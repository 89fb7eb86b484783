package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/nats-io/nats-server/v2/server"
)

// shippedExpr is a PromQL expression that ships with the command.
type shippedExpr struct{ where, text string }

// dashboardExprs returns the expressions of the dashboard.
func dashboardExprs(t testing.TB) (list []shippedExpr) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text, err := os.ReadFile("dist/grafana-dashboard.json")
	if err == nil {
		err = json.Unmarshal(text, &dashboard)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			list = append(list, shippedExpr{"panel " + p.Title, target.Expr})
		}
	}
	return list
}

// alertExprs returns the expressions of the alert rules.
func alertExprs(t testing.TB) (list []shippedExpr) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	text, err := os.ReadFile("dist/alerts.yaml")
	if err == nil {
		err = yaml.UnmarshalWithOptions(text, &file, yaml.DisallowUnknownField())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
				t.Errorf("alert %s has no severity or no summary", r.Alert)
			}
			list = append(list, shippedExpr{"alert " + r.Alert, r.Expr})
		}
	}
	return list
}

// seriesNames are the metrics of a server, by name: the labels each has somewhere.
type seriesNames map[string]map[string]bool

var (
	metricLine  = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? `)
	labelInLine = regexp.MustCompile(`([a-z]+)="`)
	metricName  = regexp.MustCompile(`\b(?:signalbox|process|go)_[a-z_]+\b`)
	labelMatch  = regexp.MustCompile(`\b([a-z]+)=~?"`)
	labelGroup  = regexp.MustCompile(`\b(?:by|on) \(([a-z, ]+)\)`)
)

// counted reads /metrics until there is one of each of these: what has been counted may
// be told a moment later, and a scrape does not wait long for a busy server's loops.
func counted(t testing.TB, addr string, metrics ...string) seriesNames {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(pollEvery) {
		names := scraped(t, addr)
		missing := slices.DeleteFunc(slices.Clone(metrics), func(m string) bool { return names[m] != nil })
		if len(missing) == 0 {
			return names
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not tell %s", missing)
		}
	}
}

// scraped reads /metrics.
func scraped(t testing.TB, addr string) seriesNames {
	t.Helper()
	answer, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %s, %v", answer.Status, err)
	}
	names := seriesNames{}
	for line := range strings.Lines(string(text)) {
		m := metricLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if names[m[1]] == nil {
			names[m[1]] = map[string]bool{}
		}
		for _, l := range labelInLine.FindAllStringSubmatch(m[2], -1) {
			names[m[1]][l[1]] = true
		}
	}
	return names
}

// labelled are the labels that any of the metrics of an expression has, and those
// that Prometheus adds.
func (s seriesNames) labelled(metrics []string) map[string]bool {
	all := map[string]bool{"job": true, "instance": true}
	for _, m := range metrics {
		for l := range s[m] {
			all[l] = true
		}
	}
	return all
}

// provoke makes a server count at least one of what has no metric before.
func provoke(t testing.TB, addr string) {
	t.Helper()
	for range 2 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		const head = "Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
		if _, err := io.WriteString(conn, "GET /v1 HTTP/1.1\r\n"+head); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, conn) // until the server has refused it
		conn.Close()
	}
}

func TestShippedExpressionsNameRealMetrics(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const plan = "apps:\n  - id: app_a\n    plan: {name: P, maxConcurrentConnections: 5, maxMessagesPerPeriod: 5, overagesAllowed: false, overagesEnabled: false}\n" +
		"    keys:\n      - {id: pk_live_a, channelPatterns: [\"**\"], actions: [publish]}\n"
	if err := os.WriteFile(filepath.Join(dir, "apps.yaml"), []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	url := runNATS(t, server.Options{})
	p := start(t, dir, nil, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir", "data", "--nats", url, "--node", "east")
	listening := p.await("listening")
	public, _ := listening["addr"].(string)
	admin, _ := listening["admin"].(string)
	start(t, dir, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", "data2", "--nats", url, "--node", "west").addr()
	p.await("node is there")
	provoke(t, public)
	closeOneWithError(t, public)
	real := counted(t, admin, "signalbox_errors_total", "signalbox_closes_total", "signalbox_upgrades_refused_total")
	exprs := append(dashboardExprs(t), alertExprs(t)...)
	if len(exprs) < 40 {
		t.Errorf("only %d expressions ship", len(exprs))
	}
	used := map[string]bool{}
	for _, e := range exprs {
		metrics := metricName.FindAllString(e.text, -1)
		if len(metrics) == 0 || strings.Count(e.text, "(") != strings.Count(e.text, ")") {
			t.Errorf("%s: %q names no metric, or its parentheses do not match", e.where, e.text)
		}
		for _, m := range metrics {
			used[m] = true
			if real[m] == nil {
				t.Errorf("%s names %s, which the server does not have", e.where, m)
			}
		}
		labels := real.labelled(metrics)
		for _, l := range labelMatch.FindAllStringSubmatch(e.text, -1) {
			if !labels[l[1]] {
				t.Errorf("%s asks for the label %s, which none of %v has", e.where, l[1], metrics)
			}
		}
		for _, group := range labelGroup.FindAllStringSubmatch(e.text, -1) {
			for l := range strings.SplitSeq(group[1], ", ") {
				if !labels[l] {
					t.Errorf("%s groups by %s, which none of %v has", e.where, l, metrics)
				}
			}
		}
	}
	for m := range real {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(m, "_sum"), "_count"), "_bucket")
		if strings.HasPrefix(m, "signalbox_") && !used[m] && !used[base+"_bucket"] && m != "signalbox_build_info" && m != "signalbox_cluster_info" {
			t.Errorf("nothing that ships looks at %s", m)
		}
	}
}

// closeOneWithError opens a session, has it make a mistake, and ends it.
func closeOneWithError(t testing.TB, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const upgrade = "GET /v1?key=pk_live_a HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	const mistake = "\x81\x82\x00\x00\x00\x00[]"       // a text frame that is no object, masked with zeros
	const goodbye = "\x88\x82\x00\x00\x00\x00\x03\xe8" // close 1000
	if _, err := io.WriteString(conn, upgrade+mistake+goodbye); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn) // until the server has ended it
}
