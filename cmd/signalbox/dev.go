package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"text/template"
	"time"

	"signalbox/engine/auth"
)

const (
	devAppID = "app_dev"
	// devTokenLife is how long the printed tokens hold: a day of trying things.
	devTokenLife = 24 * time.Hour
)

// devApp is the app of serve --dev: fresh keys that may do everything, known
// to nobody but the person at the terminal, and gone with the process.
type devApp struct {
	set         *auth.Set
	keyID       string
	secret      string
	publishable string
	tokens      map[string]string // by peer
}

// newDevApp makes the app and a token each for alice and bob.
func newDevApp(now time.Time) (*devApp, error) {
	keyID, secret := auth.NewSecretKey()
	publishable := auth.NewPublishableKey()
	text := fmt.Sprintf(`apps:
  - id: %s
    keys:
      - {id: %s, secret: %s, channelPatterns: ["**"], actions: [publish, subscribe, presence, send]}
      - {id: %s, channelPatterns: ["**"], actions: [publish, subscribe, presence, send]}
`, devAppID, keyID, secret, publishable)
	set, err := auth.Parse("--dev", []byte(text))
	if err != nil {
		return nil, err
	}
	d := &devApp{set: set, keyID: keyID, secret: secret, publishable: publishable, tokens: make(map[string]string)}
	for _, peer := range []string{"alice", "bob"} {
		claims := auth.Claims{PeerID: peer, ExpiresIn: int64(devTokenLife / time.Second)}
		if d.tokens[peer], _, err = set.Key(keyID).Sign(claims, now); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// devText is what serve --dev prints. It holds secrets by design: it goes to
// stdout, for the person who started the server, and never to the log.
var devText = template.Must(template.New("dev").Parse(`
Signalbox is running for development: one app with fresh keys, everything in memory, all gone when it ends.

Two peers, with tokens that hold for a day:
  alice  ws://{{.Host}}/v1?token={{.Alice}}
  bob    ws://{{.Host}}/v1?token={{.Bob}}

Anyone, with the publishable key:
  ws://{{.Host}}/v1?key={{.Publishable}}

Say this on a connection, then publish from another:
  {"type":"subscribe","channel":"room-1","requestId":"1"}
  {"type":"publish","channel":"room-1","data":{"hello":"world"},"requestId":"2"}

Mint a token, publish, list the peers of a channel:
  curl -s http://{{.Host}}/v1/tokens -H 'Authorization: Bearer {{.KeyID}}:{{.Secret}}' -d '{"peerId":"carol"}'
  curl -s http://{{.Host}}/v1/channels/room-1/publish -H 'Authorization: Bearer {{.KeyID}}:{{.Secret}}' -d '{"data":{"hello":"world"}}'
  curl -s http://{{.Host}}/v1/channels/room-1/peers -H 'Authorization: Bearer {{.KeyID}}:{{.Secret}}'

The SDK, in a page or in Node (npm install @metered-ca/realtime):
  import { SignallingClient } from "@metered-ca/realtime";
  const client = new SignallingClient({ url: "ws://{{.Host}}", apiKey: "{{.Publishable}}" });
  client.on("message", ({ channel, from, data }) => console.log(channel, from, data));
  await client.connect();
  await client.subscribe("room-1");
  await client.publish("room-1", { hello: "world" });

The console, to watch it in a browser:
  http://{{.Console}}/

Ctrl-C ends it.

`))

// print writes what to paste for a server that listens on addr, with its console
// on admin. It is one write, so that the log on a shared terminal does not cut
// into it.
func (d *devApp) print(w io.Writer, addr, admin net.Addr) error {
	var text strings.Builder
	err := devText.Execute(&text, struct {
		Host, Console, Alice, Bob, Publishable, KeyID, Secret string
	}{dialable(addr), dialable(admin), d.tokens["alice"], d.tokens["bob"], d.publishable, d.keyID, d.secret})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text.String())
	return err
}

// dialable is addr as a client on this machine can dial it: one that listens
// everywhere is reached at the loopback address, which is also the only host
// for which the SDK takes a ws: URL.
func dialable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() && len(tcp.IP) > 0 {
		return addr.String()
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
}
