package hooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Headers of a request.
const (
	timestampHeader = "Signalbox-Timestamp"
	signatureHeader = "Signalbox-Signature"
)

// signature returns the value of the signature header: the HMAC-SHA256 of the
// timestamp as the header has it, unix seconds, a dot, and the body.
func signature(secret string, timestamp int64, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(append(strconv.AppendInt(nil, timestamp, 10), '.'))
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}
