package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// busyPort returns an address that something listens on until the test ends.
func busyPort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

func TestServeErrors(t *testing.T) {
	t.Parallel()
	dir := initialised(t)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("unknown.yaml", "apps:\n  - id: app_a\n    colour: red\n")
	write("broken.yaml", "apps: [\n")
	write("weak.yaml", "apps:\n  - id: app_a\n    keys:\n      - {id: sk_id_a, secret: sk_secret_hunter2, channelPatterns: [\"**\"], actions: [send]}\n")
	write("flat", "no directory")
	write("weak.secret", "hunter2\n")
	busy := busyPort(t)
	// All but the flag at fault is in order.
	serve := func(args ...string) []string {
		return append([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir()}, args...)
	}
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"no command":                {nil, []string{"expected one of", "--help"}},
		"unknown command":           {[]string{"serv"}, []string{"unexpected argument serv"}},
		"unknown flag":              {serve("--colour", "red"), []string{"unknown flag --colour"}},
		"stray argument":            {serve("stray"), []string{"unexpected argument stray"}},
		"flag without a value":      {[]string{"serve", "--apps"}, []string{"--apps"}},
		"no number":                 {serve("--loops", "many"), []string{"--loops"}},
		"no duration":               {serve("--ping-interval", "30"), []string{"--ping-interval"}},
		"negative loops":            {serve("--loops=-1"), []string{"--loops must be at least 0"}},
		"negative drain":            {serve("--drain-timeout=-1s"), []string{"--drain-timeout must be at least 0s"}},
		"no message size":           {serve("--max-message-size", "0"), []string{"--max-message-size must be at least 1"}},
		"no burst":                  {serve("--message-burst", "0"), []string{"--message-burst must be at least 1"}},
		"negative rate":             {serve("--message-rate=-1"), []string{"--message-rate must be at least 0"}},
		"no ping interval":          {serve("--ping-interval", "0s"), []string{"--ping-interval must be at least 1ms"}},
		"negative snapshot delay":   {serve("--snapshot-delay=-1ms"), []string{"--snapshot-delay must be at least 0s"}},
		"no memory size":            {serve("--memory-limit", "lots"), []string{"--memory-limit", "no amount of memory"}},
		"negative garbage":          {serve("--gogc=-1"), []string{"--gogc must be at least 0"}},
		"never collect":             {serve("--gogc", "0", "--memory-limit", "0"), []string{"--gogc 0 needs a --memory-limit"}},
		"unknown refusal":           {serve("--refuse", "politely"), []string{"--refuse must be one of"}},
		"unknown log format":        {serve("--log-format", "xml"), []string{"--log-format must be one of"}},
		"unknown log level":         {serve("--log-level", "loud"), []string{"--log-level must be one of"}},
		"short admin token":         {serve("--admin-token", "hunter2"), []string{"--admin-token must have at least 16 characters"}},
		"open admin address":        {serve("--admin-listen", ":0"), []string{"the admin address :0", "--admin-token"}},
		"dev with a file":           {[]string{"serve", "--dev", "--apps", "apps.yaml"}, []string{"--dev uses no files"}},
		"a key too few":             {serve("--tls-cert", "a.pem"), []string{"as many --tls-key as --tls-cert"}},
		"no such certificate":       {serve("--tls-cert", "a.pem", "--tls-key", "a.key"), []string{"certificate a.pem with key a.key"}},
		"ACME for nothing":          {serve("--acme-email", "a@example.org"), []string{"with --acme-domain alone"}},
		"ACME for a wildcard":       {serve("--acme-domain", "*.example.org"), []string{"is no domain name"}},
		"dev with TLS":              {[]string{"serve", "--dev", "--acme-domain", "chat.example.org"}, []string{"leave out TLS"}},
		"dev with a directory":      {[]string{"serve", "--dev", "--data-dir", "data"}, []string{"--dev uses no files"}},
		"no apps file":              {serve("--apps", "nope.yaml"), []string{"no apps file nope.yaml", "signalbox init", "signalbox serve --dev"}},
		"apps file is a directory":  {serve("--apps", "."), []string{"not a regular file"}},
		"unknown field":             {serve("--apps", "unknown.yaml"), []string{"unknown.yaml:3:5"}},
		"no YAML":                   {serve("--apps", "broken.yaml"), []string{"broken.yaml:1:"}},
		"weak secret":               {serve("--apps", "weak.yaml"), []string{"weak.yaml:4:"}},
		"port in use":               {serve("--listen", busy), []string{busy, "in use"}},
		"api port in use":           {serve("--api-listen", busy), []string{busy, "in use"}},
		"admin port in use":         {serve("--admin-listen", busy), []string{busy, "in use"}},
		"no such port":              {serve("--listen", "127.0.0.1:99999"), []string{"99999"}},
		"no address":                {serve("--listen", "nonsense"), []string{"nonsense"}},
		"no proxy":                  {serve("--trusted-proxies", "127.0.0.1,nonsense"), []string{"--trusted-proxies", `"nonsense"`}},
		"no socket's directory":     {serve("--listen", "unix:nowhere/s"), []string{"unix:nowhere/s", "no such file"}},
		"dev on a unix socket":      {[]string{"serve", "--dev", "--listen", "unix:s"}, []string{"--dev prints URLs"}},
		"data directory is a file":  {serve("--data-dir", "flat"), []string{"flat"}},
		"cluster flags for nothing": {serve("--nats-ca", "ca.pem"), []string{"with --nats alone"}},
		"NATS at no URL":            {serve("--nats", "http://a:hunter2@127.0.0.1"), []string{"no URL of a NATS server"}},
		"NATS certificate alone":    {serve("--nats", "nats://127.0.0.1", "--nats-cert", "a.pem"), []string{"--nats-cert and --nats-key go together"}},
		"routes to NATS elsewhere":  {serve("--nats", "nats://127.0.0.1", "--nats-routes", "127.0.0.1:1"), []string{"with --nats embedded alone"}},
		"no name for a node":        {serve("--nats", "nats://127.0.0.1", "--node", "a b"), []string{"a node's name is"}},
		"open routes":               {serve("--nats", "embedded"), []string{"routes on :6222", "--nats-secret-file"}},
		"weak secret of routes":     {serve("--nats", "embedded", "--nats-secret-file", "weak.secret"), []string{"weak.secret holds no secret"}},
		"no secret of routes":       {serve("--nats", "embedded", "--nats-secret-file", "nope"), []string{"--nats-secret-file", "no such file"}},
		"route port in use":         {serve("--nats", "embedded", "--nats-listen", busy), []string{busy, "in use"}},
		"credentials for routes":    {serve("--nats", "embedded", "--nats-credentials", "c"), []string{"nodes share --nats-secret-file"}},
		"no route":                  {serve("--nats", "embedded", "--nats-listen", "127.0.0.1:0", "--nats-routes", "nonsense"), []string{`"nonsense" is no route`}},
		"dev with a cluster":        {[]string{"serve", "--dev", "--nats", "nats://127.0.0.1"}, []string{"leave out --nats"}},
		"echo port in use":          {[]string{"echo", "--listen", busy}, []string{busy, "in use"}},
		"echo of nothing":           {[]string{"echo", "--max-message-size", "0"}, []string{"--max-message-size must be at least 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := invocation{dir: dir}.fails(t, c.args, c.want...)
			if got.stdout != "" || strings.Contains(got.stderr, "hunter2") {
				t.Errorf("got output %q and error %q, want none of the usage, none of the file", got.stdout, got.stderr)
			}
		})
	}
}

func TestSecondServerOnDataDir(t *testing.T) {
	t.Parallel()
	dir := initialised(t)
	args := []string{"serve", "--listen", "127.0.0.1:0", "--data-dir", "data"}
	first := start(t, dir, nil, args...)
	first.addr()
	invocation{dir: dir}.fails(t, args, "data", "in use by another process")
	first.signal(syscall.SIGTERM)
	if got := first.exit(); got != 0 {
		t.Errorf("exit status of the first: got %d, want 0", got)
	}
	// What the first held, the next may have.
	next := start(t, dir, nil, args...)
	next.addr()
}

func TestSignalsEndCleanly(t *testing.T) {
	t.Parallel()
	dir := initialised(t)
	for name, c := range map[string]struct {
		signal syscall.Signal
		args   []string
	}{
		"serve, SIGTERM": {syscall.SIGTERM, []string{"serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir()}},
		"serve, SIGINT":  {syscall.SIGINT, []string{"serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir()}},
		"dev, SIGINT":    {syscall.SIGINT, []string{"serve", "--listen", "127.0.0.1:0", "--dev"}},
		"echo, SIGTERM":  {syscall.SIGTERM, []string{"echo", "--listen", "127.0.0.1:0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, dir, nil, c.args...)
			p.addr()
			p.signal(c.signal)
			if got := p.exit(); got != 0 {
				t.Errorf("exit status: got %d, want 0; log:\n%s", got, p.logged())
			}
		})
	}
}

func TestHangupReloads(t *testing.T) {
	t.Parallel()
	dir := initialised(t)
	p := start(t, dir, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", "data")
	addr := p.addr()
	if err := os.Remove(filepath.Join(dir, "apps.yaml")); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	p.await("apps not read, the old ones stay in force")
	answer, err := http.Get("http://" + addr + "/v1/usage")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("status: got %d, want %d", answer.StatusCode, http.StatusUnauthorized)
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	invocation{dir: dir, env: []string{"SIGNALBOX_APPS=from-env.yaml", "SIGNALBOX_APP=app_env"}}.ok(t, "init")
	env := []string{
		"SIGNALBOX_APPS=from-env.yaml",
		"SIGNALBOX_DATA_DIR=env-data",
		"SIGNALBOX_LISTEN=127.0.0.1:99999",
		"SIGNALBOX_ADMIN_LISTEN=127.0.0.1:0",
		"SIGNALBOX_MAX_MESSAGE_SIZE=1000",
	}
	p := start(t, dir, env, "serve", "--listen", "127.0.0.1:0") // a flag beats its variable
	ready, ok := p.await("listening")["admin"].(string)
	if !ok {
		t.Fatalf("no admin address in the log:\n%s", p.logged())
	}
	answer, err := http.Get("http://" + ready + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("/readyz: got %d, want 200", answer.StatusCode)
	}
	if _, err := os.Stat(filepath.Join(dir, "env-data")); err != nil {
		t.Errorf("data directory of the environment: %v", err)
	}
	invocation{dir: dir, env: []string{"SIGNALBOX_LOOPS=many"}}.fails(t, []string{"serve"}, "SIGNALBOX_LOOPS")
}

func TestSignalSwitchesLogLevel(t *testing.T) {
	t.Parallel()
	dir := initialised(t)
	p := start(t, dir, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", "data")
	p.addr()
	for _, want := range []string{"DEBUG", "INFO", "DEBUG"} {
		if got := p.switchLevel(); got != want {
			t.Errorf("level: got %q, want %q", got, want)
		}
	}
}

// switchLevel sends SIGUSR1 and returns the level that the log says it has now.
func (p *process) switchLevel() any {
	p.t.Helper()
	p.signal(syscall.SIGUSR1)
	return p.await("log level changed")["now"]
}
