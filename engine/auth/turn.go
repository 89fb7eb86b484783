package auth

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/goccy/go-json"

	"signalbox/protocol"
)

// WelcomeMetadata returns the metadata of the peer's welcome: the token's, with iceServers added if the key
// injects TURN credentials and the app has a TURN server, unless the token brought iceServers of its own. nil
// if there is nothing to send. The caller must not change it.
func (id *Identity) WelcomeMetadata(now time.Time) []byte {
	turn := id.App.Turn
	if turn == nil || !id.Key.InjectTurn || hasMember(id.Metadata, "iceServers") {
		return id.Metadata
	}
	dst := make([]byte, 0, len(id.Metadata)+512)
	if len(id.Metadata) > len("{}") {
		dst = append(dst, id.Metadata[:len(id.Metadata)-1]...) // compact: the last byte is the brace
		dst = append(dst, ',')
	} else {
		dst = append(dst, '{')
	}
	dst = append(dst, `"iceServers":`...)
	dst = turn.appendServers(dst, id.PeerID, now)
	return append(dst, '}')
}

// appendServers appends an RTCIceServer list with credentials for peerID in the form of coturn's REST API: the
// username is its expiry and the peer, the credential base64(HMAC-SHA1(secret, username)).
func (t *Turn) appendServers(dst []byte, peerID string, now time.Time) []byte {
	username := strconv.FormatInt(now.Unix()+t.TTL, 10) + ":" + peerID
	mac := hmac.New(sha1.New, []byte(t.Secret))
	mac.Write([]byte(username))
	dst = append(dst, `[{"urls":[`...)
	for i, url := range t.URLs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = protocol.AppendString(dst, url)
	}
	dst = append(dst, `],"username":`...)
	dst = protocol.AppendString(dst, username)
	dst = append(dst, `,"credential":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, mac.Sum(nil))
	return append(dst, `"}]`...)
}

// hasMember reports whether object, a JSON object or nil, has a member of exactly this name, however escaped.
func hasMember(object []byte, name string) bool {
	if object == nil {
		return false
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil {
		return false
	}
	_, found := members[name]
	return found
}
