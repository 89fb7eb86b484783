package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"signalbox/engine/auth"
)

// initialised returns a directory with the apps.yaml of signalbox init.
func initialised(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	invocation{dir: dir}.ok(t, "init")
	return dir
}

func readApps(t testing.TB, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "apps.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// comments are the comment lines of a file.
func comments(text string) (list []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			list = append(list, line)
		}
	}
	return list
}

func wantMode(t testing.TB, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("mode of %s: got %04o, want %04o", filepath.Base(path), got, want)
	}
}

func TestInit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "mine.yaml")
	out := invocation{dir: dir}.ok(t, "init", "--apps", "mine.yaml", "--app", "app_mine")
	wantMode(t, path, 0o600)
	set, warnings, err := auth.Load(path)
	if err != nil || len(warnings) != 0 {
		t.Fatalf("load the file: got warnings %v, error %v, want none", warnings, err)
	}
	app := set.App("app_mine")
	if app == nil || len(app.Keys) != 2 || !app.Keys[0].Secret() || app.Keys[1].Secret() {
		t.Fatalf("got app %+v, want app_mine with a secret and a publishable key", app)
	}
	for _, key := range app.Keys {
		if !strings.Contains(out, key.ID) {
			t.Errorf("output %q lacks key %s", out, key.ID)
		}
	}
	if strings.Contains(out, "sk_secret_") {
		t.Errorf("output %q holds the secret", out)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	invocation{dir: dir}.fails(t, []string{"init", "--apps", "mine.yaml"}, "mine.yaml exists already")
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("a second init changed the file (error %v)", err)
	}
}

var (
	secretKeyPrinted      = regexp.MustCompile(`^id      (sk_id_[0-9a-f]{32})\nsecret  (sk_secret_[0-9a-f]{48,})\n$`)
	publishableKeyPrinted = regexp.MustCompile(`^key     (pk_live_[0-9a-f]{32})\n$`)
)

func TestKeyRoundTrip(t *testing.T) {
	t.Parallel()
	dir := initialised(t)
	here := invocation{dir: dir}
	original := readApps(t, dir)

	created := secretKeyPrinted.FindStringSubmatch(here.ok(t, "key", "create", "--patterns", "room-*,lobby", "--actions", "subscribe"))
	if created == nil {
		t.Fatal("key create did not print an id and a secret")
	}
	id, secret := created[1], created[2]
	pk := publishableKeyPrinted.FindStringSubmatch(here.ok(t, "key", "create", "--publishable", "--allowed-origins", "https://app.example"))
	if pk == nil {
		t.Fatal("key create --publishable did not print a key")
	}
	if text := readApps(t, dir); !strings.Contains(text, secret) {
		t.Error("the file lacks the new secret")
	}

	list := here.ok(t, "key", "list")
	for _, want := range []string{
		id + "  active   \"room-*\" \"lobby\"  subscribe",
		"https://app.example",
	} {
		if !strings.Contains(squeeze(list), squeeze(want)) {
			t.Errorf("key list lacks %q:\n%s", want, list)
		}
	}
	if strings.Contains(list, "sk_secret_") {
		t.Errorf("key list shows a secret:\n%s", list)
	}

	for _, key := range []string{id, pk[1]} {
		here.ok(t, "key", "revoke", key)
	}
	if got := strings.Count(here.ok(t, "key", "list"), "revoked"); got != 2 {
		t.Errorf("revoked keys listed: got %d, want 2", got)
	}

	final := readApps(t, dir)
	if got, want := strings.Join(comments(final), ""), strings.Join(comments(original), ""); got != want {
		t.Errorf("comments: got\n%s\nwant\n%s", got, want)
	}
	for line := range strings.Lines(original) {
		if !strings.Contains(final, line) {
			t.Errorf("line lost: %q", line)
		}
	}
	wantMode(t, filepath.Join(dir, "apps.yaml"), 0o600)
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
		t.Errorf("files in the directory: got %v (error %v), want apps.yaml alone", left, err)
	}
}

// squeeze makes every run of white space one space.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestKeyErrors(t *testing.T) {
	t.Parallel()
	dir := initialised(t)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown action":        {[]string{"key", "create", "--actions", "fly"}, `no action "fly"`},
		"unknown app":           {[]string{"key", "create", "--app", "nope"}, `no app "nope"`},
		"list of unknown app":   {[]string{"key", "list", "--app", "nope"}, `no app "nope"`},
		"origins of secret key": {[]string{"key", "create", "--allowed-origins", "https://a.example"}, "allowedOrigins"},
		"revoke unknown key":    {[]string{"key", "revoke", "sk_id_nope"}, "no such key"},
		"no file":               {[]string{"key", "list", "--apps", "nope.yaml"}, `no apps file nope.yaml: write one with "signalbox init"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			invocation{dir: dir}.fails(t, c.args, c.want)
		})
	}
}

func TestSeveralApps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const text = `apps:
  - id: app_a
    keys: [{id: sk_id_a, secret: sk_secret_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, channelPatterns: ["**"], actions: [publish]}]
  - id: app_b
    keys: []
`
	if err := os.WriteFile(filepath.Join(dir, "apps.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	here := invocation{dir: dir}
	here.fails(t, []string{"key", "create"}, "choose one with --app (app_a, app_b)")
	here.fails(t, []string{"token", "mint", "alice"}, "choose one with --app (app_a, app_b)")
	here.fails(t, []string{"token", "mint", "alice", "--app", "app_b"}, "app_b has no usable secret key")
	here.ok(t, "token", "mint", "alice", "--app", "app_a")
	here.ok(t, "key", "create", "--app", "app_b")
	here.ok(t, "token", "mint", "alice", "--app", "app_b")
	if got := here.ok(t, "key", "list", "--app", "app_b"); strings.Contains(got, "app_a") {
		t.Errorf("key list --app app_b shows app_a:\n%s", got)
	}
}

func TestReadableFileIsWarnedAbout(t *testing.T) {
	t.Parallel()
	dir := initialised(t)
	path := filepath.Join(dir, "apps.yaml")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	got := invocation{dir: dir}.run(t, "key", "list")
	if got.status != 0 || !strings.HasPrefix(got.stderr, "signalbox: warning: ") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("got status %d and stderr %q, want 0 and one warning", got.status, got.stderr)
	}
}
