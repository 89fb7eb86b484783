package client

import "encoding/json"

// Kind is the type of a server's text frame.
type Kind uint8

// The kinds of server frames. Other is everything else, such as what a plain
// hub passes on.
const (
	Other Kind = iota
	Welcome
	Ack
	Error
	Message
	Direct
	Presence
	Pong
	GoingAway
)

// typeMember is how the server begins its frames.
const typeMember = `{"type":"`

// KindOf returns the kind of a frame. Frames that begin with their type cost
// next to nothing; others that are JSON objects are parsed.
func KindOf(payload []byte) Kind {
	if len(payload) > len(typeMember) && string(payload[:len(typeMember)]) == typeMember {
		rest := payload[len(typeMember):]
		for i, b := range rest {
			if b == '"' {
				return kindNamed(string(rest[:i]))
			}
		}
		return Other
	}
	if len(payload) == 0 || payload[0] != '{' {
		return Other
	}
	var envelope struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(payload, &envelope) != nil {
		return Other
	}
	return kindNamed(envelope.Type)
}

func kindNamed(name string) Kind {
	switch name {
	case "message":
		return Message
	case "direct":
		return Direct
	case "presence":
		return Presence
	case "ack":
		return Ack
	case "error":
		return Error
	case "welcome":
		return Welcome
	case "pong":
		return Pong
	case "going_away":
		return GoingAway
	}
	return Other
}
