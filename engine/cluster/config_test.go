package cluster

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdef"
	for name, c := range map[string]struct {
		config Config
		want   string // in the error; empty: none
	}{
		"one server":           {Config{URLs: "nats://127.0.0.1:4222"}, ""},
		"several, and schemes": {Config{URLs: "nats://a,tls://b:4222,ws://c,wss://u:p@d:443/"}, ""},
		"certificate":          {Config{URLs: "tls://a", CAFile: "ca", CertFile: "c", KeyFile: "k"}, ""},
		"no server":            {Config{}, "no URL of a NATS server"},
		"no scheme":            {Config{URLs: "127.0.0.1:4222"}, "as nats://host:4222 is"},
		"no scheme, password":  {Config{URLs: "u:hunter2@a:4222"}, "no URL of a NATS server"},
		"no slashes":           {Config{URLs: "nats:u:hunter2@a"}, "no URL of a NATS server"},
		"comma in a password":  {Config{URLs: "nats://u:1,hunter2@a"}, "server 2 of 2 is no URL"},
		"token":                {Config{URLs: "http://hunter2@a"}, "no URL of a NATS server"},
		"a scheme too far":     {Config{URLs: "nats://a,http://u:hunter2@b"}, "server 2 of 2 is no URL"},
		"a path":               {Config{URLs: "nats://a/b"}, "no URL of a NATS server"},
		"no host":              {Config{URLs: "nats://"}, "no URL of a NATS server"},
		"an empty one":         {Config{URLs: "nats://a,"}, "no URL of a NATS server"},
		"control bytes":        {Config{URLs: "nats://u:hunter2@a\n"}, "no URL of a NATS server"},
		"certificate alone":    {Config{URLs: "tls://a", CertFile: "c"}, "go together"},
		"a name to quote":      {Config{URLs: "nats://a", Name: "a b"}, "a node's name"},
		"a long name":          {Config{URLs: "nats://a", Name: strings.Repeat("x", 65)}, "a node's name"},

		"embedded":             {Config{URLs: EmbeddedNATS, Embedded: Embedded{Listen: "127.0.0.1:0"}}, ""},
		"embedded, on IPv6":    {Config{URLs: EmbeddedNATS, Embedded: Embedded{Listen: "[::1]:0", Routes: []string{"[::1]:1"}}}, ""},
		"embedded, everywhere": {Config{URLs: EmbeddedNATS, Embedded: Embedded{Listen: ":6222", Secret: secret}}, ""},
		"embedded, open":       {Config{URLs: EmbeddedNATS, Embedded: Embedded{Listen: ":6222"}}, "need a shared secret"},
		"embedded, by name":    {Config{URLs: EmbeddedNATS, Embedded: Embedded{Listen: "localhost:1"}}, ""},
		"a weak secret":        {Config{URLs: EmbeddedNATS, Embedded: Embedded{Listen: "10.0.0.1:1", Secret: "hunter2"}}, "at least 16"},
		"no address":           {Config{URLs: EmbeddedNATS, Embedded: Embedded{Listen: "6222"}}, "want host:port"},
		"no port":              {Config{URLs: EmbeddedNATS, Embedded: Embedded{Listen: "127.0.0.1:99999"}}, "want a port"},
		"no route":             {Config{URLs: EmbeddedNATS, Embedded: Embedded{Listen: "127.0.0.1:1", Routes: []string{":1"}}}, `":1" is no route`},
		"routes by TLS":        {Config{URLs: EmbeddedNATS, CAFile: "ca", CertFile: "c", KeyFile: "k", Embedded: Embedded{Listen: "127.0.0.1:1"}}, ""},
		"routes without a CA":  {Config{URLs: EmbeddedNATS, CertFile: "c", KeyFile: "k", Embedded: Embedded{Listen: "127.0.0.1:1"}}, "need the CA"},
		"routes, CA alone":     {Config{URLs: EmbeddedNATS, CAFile: "ca", Embedded: Embedded{Listen: "127.0.0.1:1"}}, "need a certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.config.Name == "" {
				c.config.Name = "node-1.example"
			}
			err := c.config.Check()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret in %q", err)
			}
		})
	}
	if err := (&Config{URLs: "nats://a"}).Check(); err == nil {
		t.Error("a node without a name passes")
	}
}
