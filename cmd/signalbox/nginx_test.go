package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// nginxBlocks are the configurations in the README, in their order.
func nginxBlocks(t *testing.T) (http, stream string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 {
		t.Fatalf("the README has %d configurations of nginx, want 2", len(blocks))
	}
	return blocks[0][1], blocks[1][1]
}

// runNginx runs nginx with a configuration of the README, on a port of 127.0.0.1
// without TLS, in front of the upstream, and returns its address.
func runNginx(t *testing.T, block, upstream string) string {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		t.Fatal("this test needs nginx: make nginx")
	}
	addr := freeAddr(t)
	block = regexp.MustCompile(`(?m)^\s*ssl_.*\n`).ReplaceAllString(block, "")
	block = regexp.MustCompile(`listen 443[^;]*;`).ReplaceAllString(block, "listen "+addr+";")
	if !strings.Contains(block, "127.0.0.1:8080") {
		t.Fatalf("no upstream in\n%s", block)
	}
	block = strings.ReplaceAll(block, "127.0.0.1:8080", upstream)
	dir := t.TempDir()
	config := filepath.Join(dir, "nginx.conf")
	main := "daemon off;\nmaster_process off;\npid " + dir + "/pid;\nerror_log stderr;\n" +
		"include /etc/nginx/modules-enabled/*.conf;\nevents {}\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		block = strings.Replace(block, "http {", "http {\n\taccess_log off;\n\t"+kind+"_temp_path "+dir+"/"+kind+";", 1)
	}
	if err := os.WriteFile(config, []byte(main+block), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx := exec.Command(path, "-e", "stderr", "-c", config)
	var log strings.Builder
	nginx.Stderr = &log
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = nginx.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = nginx.Wait()
		if t.Failed() {
			t.Logf("nginx:\n%s", log.String())
		}
	})
	for deadline := time.Now().Add(patience); ; {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not listen: %v", err)
		}
		<-time.After(pollEvery)
	}
}

// TestNginx holds the README to what it says of nginx: WebSockets and REST go
// through, and the server knows each client's address, whatever clients say.
func TestNginx(t *testing.T) {
	t.Parallel()
	web, stream := nginxBlocks(t)
	for name, c := range map[string]struct{ block, listen, trusted string }{
		"http":             {web, "127.0.0.1:0", "127.0.0.1"},
		"http, by unix":    {web, "unix:signalbox.sock", "unix"},
		"stream":           {stream, "127.0.0.1:0", "127.0.0.1/32"},
		"stream, by unix":  {stream, "unix:signalbox.sock", "unix"},
		"http, not named":  {web, "127.0.0.1:0", "10.0.0.0/8"},
		"http, both named": {web, "127.0.0.1:0", "10.0.0.0/8,127.0.0.1,unix"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "apps.yaml"), []byte(upgradeApps), 0o600); err != nil {
				t.Fatal(err)
			}
			p := start(t, dir, nil, "serve", "--listen", c.listen, "--trusted-proxies", c.trusted, "--connect-rate", "2", "--log-level", "debug")
			upstream := p.addr()
			if path, ok := strings.CutPrefix(c.listen, "unix:"); ok {
				upstream = "unix:" + filepath.Join(dir, path)
			}
			addr := runNginx(t, c.block, upstream)
			for _, from := range []string{"127.0.0.8", "127.0.0.9"} {
				want := from
				if c.trusted == "10.0.0.0/8" {
					want = "127.0.0.1"
				}
				for range 2 {
					if err := echoThrough(addr, from); err != nil {
						t.Fatalf("from %s: %v", from, err)
					}
					if got := p.await("session opened")["client"]; got != want {
						t.Errorf("from %s: the server saw %v, want %s", from, got, want)
					}
				}
				if err := echoThrough(addr, from); err == nil || !strings.Contains(err.Error(), "429") {
					t.Errorf("third connect from %s: got %v, want status 429", from, err)
				}
				if want != from {
					break // all have one address
				}
			}
			if err := fetch("http://"+addr+"/v1/usage", nil); err != nil {
				t.Errorf("REST: %v", err)
			}
			p.signal(syscall.SIGTERM)
			if got := p.exit(); got != 0 {
				t.Errorf("exit status: got %d, want 0", got)
			}
			if _, err := os.Stat(filepath.Join(dir, "signalbox.sock")); err == nil {
				t.Error("the socket is still there")
			}
		})
	}
}

// echoThrough connects from an address of this host, claiming another, and sends a
// message to itself.
func echoThrough(addr, from string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	local := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	dialer := ws.Dialer{
		NetDial: local.DialContext,
		Header:  ws.HandshakeHeaderHTTP(http.Header{"X-Forwarded-For": {"198.51.100.1"}}),
	}
	conn, buffered, _, err := dialer.Dial(ctx, "ws://"+addr+"/v1?key="+upgradeKey)
	if err != nil {
		return err
	}
	defer conn.Close()
	nc := withBuffered(conn, buffered)
	if _, err := wsutil.ReadServerText(nc); err != nil {
		return fmt.Errorf("no welcome: %w", err)
	}
	if err := wsutil.WriteClientText(nc, []byte(`{"type":"ping"}`)); err != nil {
		return err
	}
	if text, err := wsutil.ReadServerText(nc); err != nil || string(text) != `{"type":"pong"}` {
		return fmt.Errorf("got %q, %w", text, err)
	}
	return nil
}

// TestUnixSocket replaces a stale socket, and no other file, and none that is in use.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	dir := initialised(t)
	path := filepath.Join(dir, "s")
	args := []string{"serve", "--listen", "unix:s", "--data-dir"}
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	p := start(t, dir, nil, append(args, "one")...)
	p.addr()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket: %v, %v; want mode 0660", info, err)
	}
	invocation{dir: dir}.fails(t, append(args, "two"), "unix:s", "in use")
	p.signal(syscall.SIGKILL)
	p.exit()
	next := start(t, dir, nil, append(args, "one")...)
	next.addr()
	next.signal(syscall.SIGTERM)
	next.exit()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	invocation{dir: dir}.fails(t, append(args, "one"), "unix:s", "in use")
}

// TestUpgradeUnix replaces the server on a unix socket: the path stays where it is.
func TestUpgradeUnix(t *testing.T) {
	d := found(t, "--listen", "unix:s", "--data-dir", "data", "--drain-timeout", "1s")
	for range 2 {
		d.succeed()
		c, err := net.Dial("unix", filepath.Join(d.dir, "s"))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	d.install(t, []byte("#!/bin/sh\nexit 3\n"))
	d.send(syscall.SIGUSR2)
	d.await("not upgraded, this process stays")
	d.send(syscall.SIGTERM)
	d.expectExit(d.proc)
	if _, err := os.Stat(filepath.Join(d.dir, "s")); err == nil {
		t.Error("the socket is still there")
	}
}
