package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

const (
	// key and accept are the sample handshake of RFC 6455 §1.3: the answer to
	// a known key is known, so checking it costs nothing.
	key    = "dGhlIHNhbXBsZSBub25jZQ=="
	accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

	switchingProtocols = 101

	// errAnswer is the text of the Cause of a server that speaks no WebSocket.
	errAnswer = "the answer is no valid WebSocket handshake"

	// maxCode is the longest error code taken, in bytes.
	maxCode = 64

	// maxHead is the longest response head taken, in bytes.
	maxHead = 16 << 10
)

var (
	headEnd = []byte("\r\n\r\n")
	errHead = errors.New("client: the response head is too long")
)

// Upgrade returns the upgrade request for a target, a path with its query.
func Upgrade(host, target string) []byte {
	return []byte("GET " + target + " HTTP/1.1\r\nHost: " + host +
		"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n\r\n")
}

// checkUpgrade returns the status of a response head; of a 101 with a wrong
// Sec-WebSocket-Accept (RFC 6455 §4.1) or of no HTTP at all it is 0.
func checkUpgrade(head []byte) int {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	fields := bytes.Fields(line)
	if len(fields) < 2 || !bytes.HasPrefix(fields[0], []byte("HTTP/1.")) {
		return 0
	}
	status, err := strconv.Atoi(string(fields[1]))
	if err != nil || status == switchingProtocols && !bytes.Contains(head, []byte(accept)) {
		return 0
	}
	return status
}

// errorCode returns the code of an error frame. What is no code, a word of small
// letters and underscores, is not repeated: it goes to the terminal.
func errorCode(payload []byte) string {
	var e struct {
		Code string `json:"code"`
	}
	notCode := func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' }
	if json.Unmarshal(payload, &e) != nil || e.Code == "" || len(e.Code) > maxCode || strings.ContainsFunc(e.Code, notCode) {
		return "unknown error frame"
	}
	return e.Code
}
