package hooks

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestNetwork sends to a real server over TLS, whose answer is long and whose
// certificate is checked.
func TestNetwork(t *testing.T) {
	bodyC := make(chan string, 10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // checked by its content
		bodyC <- r.Method + " " + r.URL.Path + " " + string(body)
		_, _ = io.CopyN(w, endless{}, 1<<20) // the client may have had enough
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())

	stranger := newTransport()
	f := run(t, file(hookTo(server.URL+"/events")), Options{Client: stranger, Dir: t.TempDir()})
	f.join("c", 0, 1)
	for f.Stats().Retried == 0 {
		select {
		case got := <-bodyC:
			t.Fatalf("sent to a server with an unknown certificate: %s", got)
		case <-time.After(10 * time.Millisecond):
		}
	}
	f.stop()

	trusting := newTransport()
	trusting.TLSClientConfig = &tls.Config{RootCAs: roots}
	f = run(t, file(hookTo(server.URL+"/events")), Options{Client: trusting, Dir: t.TempDir()})
	for i := range 3 {
		f.join("c", i, 1)
		if got := <-bodyC; !strings.HasPrefix(got, "POST /events {") || !strings.Contains(got, `"type":"channel.joined"`) {
			t.Errorf("got %s", got)
		}
	}
	for f.Stats().Delivered < 3 { // at the end there is no more than a second for it
		<-time.After(10 * time.Millisecond)
	}
	f.stop()
	if s := f.Stats(); s.Delivered != 3 || s.SpooledBytes != 0 {
		t.Errorf("got %+v, want 3 delivered", s)
	}
}

// endless is a body without end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
