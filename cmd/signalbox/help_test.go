package main

import (
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// serveFlags are the flags of serve, each with its environment variable.
var serveFlags = []string{
	"dev", "listen", "api-listen", "admin-listen", "admin-host", "admin-token", "tls-cert", "tls-key", "acme-domain", "acme-directory", "acme-email",
	"apps", "data-dir", "loops", "drain-timeout", "refuse", "io-uring", "trusted-proxies",
	"max-message-size", "max-subscriptions", "message-rate", "message-burst", "connect-rate", "ping-interval",
	"nats", "nats-credentials", "nats-ca", "nats-cert", "nats-key", "node", "nats-listen", "nats-routes", "nats-secret-file",
	"handshake-timeout", "max-backlog", "max-backlog-total", "presence-window", "snapshot-delay", "hook-spool", "gogc", "memory-limit", "log-format", "log-level",
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"program": {
			[]string{"--help"},
			[]string{"serve", "init", "key create", "key list", "key revoke", "token mint", "token check", "echo", "doctor", "health", "completion", "version"},
		},
		"serve":        {[]string{"serve", "--help"}, []string{"Addresses:", "Apps and data:", "TLS:", "Cluster:", "Limits:", "Tuning:", "Logging:"}},
		"init":         {[]string{"init", "--help"}, []string{"--apps", "--app"}},
		"key create":   {[]string{"key", "create", "--help"}, []string{"--publishable", "--patterns", "--actions", "--allowed-origins", "--inject-turn"}},
		"token mint":   {[]string{"token", "mint", "--help"}, []string{"<peer-id>", "--channels", "--permissions", "--expires-in"}},
		"token check":  {[]string{"token", "check", "--help"}, []string{"stdin"}},
		"doctor":       {[]string{"doctor", "--help"}, []string{"--target", "--json", "--root", "Exits with 0 if"}},
		"echo":         {[]string{"echo", "--help"}, []string{"--listen", "--max-message-size"}},
		"help is help": {[]string{"serve", "--listen", ":1", "-h"}, []string{"Usage: signalbox serve"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := invocation{}.ok(t, c.args...)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in the help:\n%s", want, got)
				}
			}
		})
	}
}

func TestEveryServeFlagHasVariable(t *testing.T) {
	t.Parallel()
	help := invocation{}.ok(t, "serve", "--help")
	for _, flag := range serveFlags {
		variable := "$SIGNALBOX_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
		if !strings.Contains(help, "--"+flag) || !strings.Contains(help, variable+")") {
			t.Errorf("help lacks --%s or %s", flag, variable)
		}
	}
	for _, match := range flagAtLineStart.FindAllStringSubmatch(help, -1) {
		if !slices.Contains(serveFlags, match[1]) {
			t.Errorf("--%s is not in the test's list", match[1])
		}
	}
}

var flagAtLineStart = regexp.MustCompile(`(?m)^ +--([a-z-]+)`)

func TestVersion(t *testing.T) {
	t.Parallel()
	got := invocation{}.ok(t, "version")
	if !strings.HasPrefix(got, "signalbox ") || strings.Count(got, "\n") != 1 {
		t.Errorf("got %q, want one line that begins with signalbox", got)
	}
}

func TestDescribeBuild(t *testing.T) {
	t.Parallel()
	settings := func(pairs ...string) (list []debug.BuildSetting) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, debug.BuildSetting{Key: pairs[i], Value: pairs[i+1]})
		}
		return list
	}
	const revision = "0123456789abcdef0123456789abcdef01234567"
	for name, c := range map[string]struct {
		override, module string
		settings         []debug.BuildSetting
		want             string
	}{
		"nothing known":  {"", "", nil, "signalbox (devel) "},
		"module version": {"", "v1.2.3", nil, "signalbox v1.2.3 "},
		"override wins":  {"v9.9.9", "v1.2.3", nil, "signalbox v9.9.9 "},
		"commit": {
			"", "(devel)", settings("vcs.revision", revision, "vcs.time", "2026-01-02T03:04:05Z", "vcs.modified", "false"),
			"signalbox (devel) commit 0123456789ab of 2026-01-02T03:04:05Z ",
		},
		"modified commit": {
			"v1.0.0", "", settings("vcs.revision", revision, "vcs.modified", "true"),
			"signalbox v1.0.0 commit 0123456789ab (modified) ",
		},
		"pseudo-version holds the commit": {
			"", "v0.0.0-20260102030405-0123456789ab+dirty", settings("vcs.revision", revision, "vcs.modified", "true"),
			"signalbox v0.0.0-20260102030405-0123456789ab+dirty go",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := describeBuild(c.override, &debug.BuildInfo{Main: debug.Module{Version: c.module}, Settings: c.settings})
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q, want prefix %q", got, c.want)
			}
		})
	}
}

func TestReadmeNamesEveryServeFlag(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range serveFlags {
		if !strings.Contains(string(text), "`--"+flag+"`") {
			t.Errorf("README.md does not explain --%s", flag)
		}
	}
}
