package client

import (
	"slices"
	"testing"
)

// lineLog notes what a handler is told.
type lineLog struct{ told []string }

func (l *lineLog) Ready(*Conn)                 { l.told = append(l.told, "ready") }
func (l *lineLog) Text(_ *Conn, text []byte)   { l.told = append(l.told, string(text)) }
func (l *lineLog) Closed(_ *Conn, cause Cause) { l.told = append(l.told, "closed: "+cause.String()) }

func TestLines(t *testing.T) {
	lines := &Lines{Answer: `{"id":`, Fault: `,"error":`, Ping: `{}`, Pong: AppendText(nil, []byte(`{}`))}
	for _, tt := range []struct {
		name   string
		acks   int // still to come
		frames []string
		want   []string
		counts uint64
		pongs  int
	}{
		{"one answer of two", 2, []string{`{"id":1,"connect":{}}`}, nil, 0, 0},
		{"both in one frame", 2, []string{"{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{}}"}, []string{"ready"}, 0, 0},
		{"both in two", 2, []string{`{"id":1,"connect":{}}`, `{"id":2,"subscribe":{}}` + "\n"}, []string{"ready"}, 0, 0},
		{"several messages", 1, []string{"{\"id\":1}\n{\"push\":1}\n{\"push\":2}\n"}, []string{"ready", `{"push":1}`, `{"push":2}`}, 2, 0},
		{"answer once ready", 1, []string{`{"id":1}`, `{"id":3,"publish":{}}`}, []string{"ready"}, 0, 0},
		{"ping", 1, []string{"{\"id\":1}\n{}\n{\"push\":1}"}, []string{"ready", `{"push":1}`}, 1, 1},
		{"refused", 2, []string{"{\"id\":1,\"error\":{\"code\":103}}\n{\"push\":1}"}, []string{"closed: subscribe: a command was refused"}, 0, 0},
		{"refused once ready", 1, []string{`{"id":1}`, `{"id":3,"error":{}}`}, []string{"ready", "closed: open: a command was refused"}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := &lineLog{}
			c := &Conn{Loop: &Loop{}, fd: -1, state: joining, acks: tt.acks, spec: Spec{Handler: log, Script: Script{Lines: lines}}}
			for _, frame := range tt.frames {
				c.lines(lines, []byte(frame))
			}
			if !slices.Equal(log.told, tt.want) {
				t.Errorf("the handler was told %q, want %q", log.told, tt.want)
			}
			if c.Loop.frames != tt.counts {
				t.Errorf("%d frames count, want %d", c.Loop.frames, tt.counts)
			}
			if got := len(c.out) / len(lines.Pong); got != tt.pongs {
				t.Errorf("%d pongs are queued, want %d", got, tt.pongs)
			}
		})
	}
}
