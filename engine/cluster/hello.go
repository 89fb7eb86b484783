package cluster

import (
	"fmt"

	json "github.com/goccy/go-json"
	"github.com/nats-io/nats.go"
)

// hello is what a node says of itself in words that every format understands.
type hello struct {
	Node    string `json:"node"`
	ID      string `json:"id"`
	Format  int    `json:"format"`
	Version string `json:"version"`
}

// maxHello is what a hello may measure, in bytes.
const maxHello = 1024

func parseHello(text []byte) (h hello, err error) {
	if len(text) > maxHello {
		return h, errSize
	}
	if err := json.Unmarshal(text, &h); err != nil || h.ID == "" || !validNode(h.Node) || !validNode(h.ID) || !validNode(h.Version) {
		return hello{}, errJSON
	}
	return h, nil
}

// helloHeard answers a hello, or turns away a node that speaks another format.
func (b *NATS) helloHeard(m *nats.Msg) {
	h, err := parseHello(m.Data)
	if err != nil {
		b.refuse(err)
		return
	}
	asked := m.Subject == subjectHello && m.Reply == prefixWelcome+h.ID && h.ID != b.id.String()
	if asked && !badToken(h.ID) {
		b.out.hello(m.Reply)
		b.greeted = true
	}
	if h.Format == format {
		return
	}
	clash := fmt.Errorf("cluster: node %s runs version %s, which speaks format %d; this one speaks format %d",
		h.Node, h.Version, h.Format, format)
	if b.joining.Load() {
		select {
		case b.clashC <- clash:
		default:
		}
		return
	}
	if _, said := b.members.foreign[h.ID]; !said && len(b.members.foreign) < maxNodes {
		b.members.foreign[h.ID] = struct{}{}
		b.log.Error("a node that speaks another format is ignored",
			"node", h.Node, "version", h.Version, "format", h.Format, "own", format)
	}
}

// badToken reports whether s can not be one token of a subject as it is.
func badToken(s string) bool { return string(appendToken(nil, s)) != s }
