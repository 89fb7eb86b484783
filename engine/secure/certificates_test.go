package secure

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"testing"
)

// presented returns the subject of the certificate that a client gets which asks
// for name, "" for none.
func presented(t *testing.T, c *Certificates, name string) string {
	t.Helper()
	s := &server{handshakes: NewHandshakes(c.Config())}
	defer s.handshakes.Close()
	nc, endC := s.connect(t, 64<<10, nil)
	client := tls.Client(nc, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	_ = nc.Close()
	_ = await(t, endC)
	return client.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestChoice(t *testing.T) {
	dir, i := t.TempDir(), newIssuer(t)
	var pairs []Pair
	for _, names := range [][]string{{"default.test"}, {"two.test", "also-two.test"}, {"*.wild.test"}, {"special.wild.test"}} {
		pair := pairIn(dir, strings.TrimPrefix(names[0], "*."))
		i.issue(t, pair, names...)
		pairs = append(pairs, pair)
	}
	c, err := Open(pairs, nil, discard)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, ask, want string }{
		{"the first", "default.test", "default.test"},
		{"another", "two.test", "two.test"},
		{"its second name", "also-two.test", "two.test"},
		{"a wildcard", "any.wild.test", "*.wild.test"},
		{"the first of two that fit", "special.wild.test", "*.wild.test"},
		{"too deep for the wildcard", "a.b.wild.test", "default.test"},
		{"the wildcard's own parent", "wild.test", "default.test"},
		{"another case", "TWO.test", "two.test"},
		{"nobody's", "else.test", "default.test"},
		{"no name", "", "default.test"},
	}
	for _, test := range tests {
		if got := presented(t, c, test.ask); got != test.want {
			t.Errorf("%s: got the certificate of %s, want %s", test.name, got, test.want)
		}
	}
}

func TestReload(t *testing.T) {
	dir, i := t.TempDir(), newIssuer(t)
	one, two := pairIn(dir, "one"), pairIn(dir, "two")
	i.issue(t, one, "one.test")
	i.issue(t, two, "two.test")
	c, err := Open([]Pair{one, two}, nil, discard)
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name     string
		step     func() error
		want     string // in the error; empty: none
		one, two string
	}{
		{"unchanged", nil, "", "one.test", "two.test"},
		{"replaced", func() error { i.issue(t, one, "new.test", "one.test"); return nil }, "", "new.test", "two.test"},
		{"another's key", func() error { return os.Rename(two.Key, one.Key) }, "private key does not match", "new.test", "two.test"},
		{"no PEM", func() error { return os.WriteFile(two.Cert, []byte("certificate"), 0o600) }, two.Cert, "new.test", "two.test"},
		{"gone", func() error { return os.Remove(two.Cert) }, "no such file", "new.test", "two.test"},
		{"repaired", func() error { i.issue(t, one, "one.test"); i.issue(t, two, "newer.test", "two.test"); return nil }, "", "one.test", "newer.test"},
	}
	for _, s := range steps {
		if s.step != nil {
			if err := s.step(); err != nil {
				t.Fatal(err)
			}
		}
		switch err := c.Reload(); {
		case s.want == "" && err != nil:
			t.Errorf("%s: %v", s.name, err)
		case s.want != "" && (err == nil || !strings.Contains(err.Error(), s.want)):
			t.Errorf("%s: got %v, want %q in it", s.name, err, s.want)
		}
		if got := presented(t, c, "one.test"); got != s.one {
			t.Errorf("%s: got %s for one.test, want %s", s.name, got, s.one)
		}
		if got := presented(t, c, "two.test"); got != s.two {
			t.Errorf("%s: got %s for two.test, want %s", s.name, got, s.two)
		}
	}
}

func TestOpen(t *testing.T) {
	dir, i := t.TempDir(), newIssuer(t)
	good := pairIn(dir, "good")
	i.issue(t, good, "good.test")
	acme := func(domains ...string) *ACME { return &ACME{Domains: domains, CacheDir: dir} }
	tests := []struct {
		name  string
		pairs []Pair
		acme  *ACME
		want  string // in the error; empty: none
	}{
		{"a pair", []Pair{good}, nil, ""},
		{"ACME", nil, acme("chat.example.org"), ""},
		{"both", []Pair{good}, acme("chat.example.org", "b.example.org"), ""},
		{"nothing", nil, nil, "no certificate"},
		{"no such file", []Pair{pairIn(dir, "bad")}, nil, "bad.pem"},
		{"nowhere to keep it", nil, &ACME{Domains: []string{"chat.example.org"}}, "directory"},
		{"a wildcard", nil, acme("*.example.org"), "no domain name"},
		{"an address", nil, acme("192.0.2.1"), "no domain name"},
		{"one label", nil, acme("localhost"), "no domain name"},
		{"a URL", nil, acme("https://example.org"), "no domain name"},
		{"letters beyond ASCII", nil, acme("chat.example.org", "plaudern.bücher.example"), "as xn--"},
	}
	for _, test := range tests {
		_, err := Open(test.pairs, test.acme, discard)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: got %v, want %q in it", test.name, err, test.want)
		}
	}
}

// TestKeyMode warns of a key that everybody may read.
func TestKeyMode(t *testing.T) {
	dir, i := t.TempDir(), newIssuer(t)
	pair := pairIn(dir, "one")
	i.issue(t, pair, "one.test")
	for _, test := range []struct {
		mode os.FileMode
		want bool
	}{{0o600, false}, {0o640, false}, {0o644, true}} {
		if err := os.Chmod(pair.Key, test.mode); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		if _, err := Open([]Pair{pair}, nil, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "chmod 600"); got != test.want {
			t.Errorf("mode %o: got warned %v, want %v", test.mode, got, test.want)
		}
	}
}

func TestNameFor(t *testing.T) {
	dir, i := t.TempDir(), newIssuer(t)
	var pairs []Pair
	for _, names := range [][]string{{"*.wild.test"}, {"chat.test", "also.test"}} {
		pair := pairIn(dir, strings.TrimPrefix(names[0], "*."))
		i.issue(t, pair, names...)
		pairs = append(pairs, pair)
	}
	authority := &ACME{Domains: []string{"Auto.test", "second.test"}, CacheDir: dir}
	tests := []struct {
		name        string
		pairs       []Pair
		acme        *ACME
		asked, want string
	}{
		{"the certificate's", pairs, nil, "chat.test", "chat.test"},
		{"its second", pairs, nil, "also.test", "also.test"},
		{"one of the wildcard", pairs, nil, "any.wild.test", "any.wild.test"},
		{"an address", pairs, nil, "127.0.0.1", "chat.test"},
		{"no certificate's", pairs, nil, "else.test", "chat.test"},
		{"no single name", pairs[:1], nil, "127.0.0.1", "127.0.0.1"},
		{"a domain", nil, authority, "second.test", "second.test"},
		{"no domain", nil, authority, "127.0.0.1", "auto.test"},
		{"the certificate's, beside a domain", pairs, authority, "chat.test", "chat.test"},
	}
	for _, test := range tests {
		c, err := Open(test.pairs, test.acme, discard)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.NameFor(test.asked); got != test.want {
			t.Errorf("%s: got %s for %s, want %s", test.name, got, test.asked, test.want)
		}
	}
}
