package auth

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// writeApps puts text into a file of its own.
func writeApps(t *testing.T, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "apps.yaml")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // past the umask
		t.Fatal(err)
	}
	return path
}

func TestLoadWarnsOfOpenFiles(t *testing.T) {
	for _, c := range []struct {
		name string
		mode fs.FileMode
		want string
	}{
		{"owner only", 0o600, ""},
		{"owner may only read", 0o400, ""},
		{"group may read", 0o640, "mode 0640"},
		{"all may read", 0o644, "mode 0644"},
		{"all may write", 0o602, "mode 0602"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, warnings, err := Load(writeApps(t, testFile, c.mode))
			if err != nil || set.Key(skID) == nil {
				t.Fatal(set, err)
			}
			var got string
			for _, w := range warnings {
				got += w.String()
			}
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestLoadErrors(t *testing.T) {
	faulty := writeApps(t, "apps:\n  - id: 7\n", 0o600)
	for _, c := range []struct{ name, path, want string }{
		{"missing", filepath.Join(t.TempDir(), "none.yaml"), "no such file"},
		{"a directory", t.TempDir(), "not a regular file"},
		{"faulty", faulty, faulty + ":2:9: id must be a string"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Load(c.path)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
		})
	}
}

func TestCreateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apps.yaml")
	text, _, _, _ := Template("app_demo")
	if err := CreateFile(path, text); err != nil {
		t.Fatal(err)
	}
	if _, warnings, err := Load(path); err != nil || len(warnings) > 0 {
		t.Errorf("got %v, %v, want a good file that is the owner's alone", warnings, err)
	}
	if err := CreateFile(path, []byte("other")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over an existing file: got %v, want fs.ErrExist", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(text) {
		t.Error("the existing file was touched")
	}
}

func TestCreateAndRevokeKey(t *testing.T) {
	path := writeApps(t, testFile, 0o640)
	owner := os.Getuid()
	if owner == 0 { // root can edit another's file, which must stay the other's
		owner = 1234
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	id, secret, err := CreateKey(link, "app_one", KeySpec{Patterns: []string{"**"}, Actions: AllActions})
	if err != nil {
		t.Fatal(err)
	}
	pk, none, err := CreateKey(link, "app_one", KeySpec{Publishable: true, Patterns: []string{"a"}, AllowedOrigins: []string{"https://a"}})
	if err != nil || none != "" {
		t.Fatal(none, err)
	}
	if err := RevokeKey(link, skID); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link was replaced by a file")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o640 {
		t.Errorf("mode: got %04o, want 0640", got)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != owner {
		t.Errorf("owner: got %d, want %d", stat.Uid, owner)
	}
	set, _, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := set.VerifyBearer("Bearer " + id + ":" + secret); err != nil || k.App.ID != "app_one" {
		t.Errorf("the new secret key: %v", err)
	}
	if _, err := set.VerifyKey(pk, "https://a"); err != nil {
		t.Errorf("the new publishable key: %v", err)
	}
	if !set.Key(skID).Revoked {
		t.Error("the key is not revoked")
	}
	checkNoLeftovers(t, path)
}

func TestFailedEditChangesNothing(t *testing.T) {
	path := writeApps(t, testFile, 0o600)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := CreateKey(path, "app_one", KeySpec{Patterns: []string{""}}); err == nil {
		t.Error("a key with an empty pattern was created")
	}
	if err := RevokeKey(path, "sk_id_none"); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("got %v, want ErrUnknownKey", err)
	}
	if err := RevokeKey(path, revokedID); err != nil {
		t.Errorf("a revoked key revoked again: %v", err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was replaced: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != testFile {
		t.Error("the file was changed")
	}
	if err := RevokeKey(filepath.Join(t.TempDir(), "none"), skID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: got %v", err)
	}
	checkNoLeftovers(t, path)
}

// TestConcurrentEdits loses no edit, while a reader always finds a whole file.
func TestConcurrentEdits(t *testing.T) {
	path := writeApps(t, "apps:\n  - id: a\n", 0o600)
	const editors = 16
	ids := make([]string, editors)
	var editing sync.WaitGroup
	for i := range ids {
		editing.Go(func() {
			id, _, err := CreateKey(path, "", KeySpec{Patterns: []string{"a"}, Actions: Send})
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
			if _, _, err := Load(path); err != nil {
				t.Error(err)
			}
		})
	}
	editing.Wait()
	set, _, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if set.Key(id) == nil {
			t.Errorf("key %s is lost", id)
		}
	}
	checkNoLeftovers(t, path)
}

func checkNoLeftovers(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the file: %v, %v", entries, err)
	}
}
