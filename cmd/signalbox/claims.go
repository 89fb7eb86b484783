package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"signalbox/engine/auth"
)

// printClaims shows what token says of itself, whether or not it is to be
// believed. Of a text that is no token there is nothing to show. Text from the
// token is quoted, so that it cannot steer a terminal; metadata is measured,
// not shown.
func printClaims(w io.Writer, token string, now time.Time) error {
	claims := jwt.MapClaims{}
	parsed, _, err := jwt.NewParser(jwt.WithJSONNumber()).ParseUnverified(token, claims)
	if err != nil {
		return nil // the verdict that follows says what is wrong with the token
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "algorithm\t%s\n", claimText(parsed.Header["alg"]))
	fmt.Fprintf(table, "key\t%s\n", claimText(parsed.Header["kid"]))
	fmt.Fprintf(table, "peer\t%s\n", claimText(claims["sub"]))
	for _, row := range [...]struct{ label, name string }{
		{"issued", "iat"}, {"not before", "nbf"}, {"expires", "exp"},
	} {
		fmt.Fprintf(table, "%s\t%s\n", row.label, claimTime(claims[row.name], now))
	}
	fmt.Fprintf(table, "channels\t%s\n", claimText(claims["channels"]))
	fmt.Fprintf(table, "permissions\t%s\n", claimText(claims["permissions"]))
	fmt.Fprintf(table, "metadata\t%s\n", claimPresence(claims["metadata"]))
	fmt.Fprintf(table, "peerMetadata\t%s\n", claimPresence(claims["peerMetadata"]))
	return table.Flush()
}

// printIdentity shows what the server makes of a token it accepts.
func printIdentity(w io.Writer, identity *auth.Identity) error {
	grant := identity.Grant
	channels := make([]string, 0, len(grant.Patterns()))
	for _, name := range grant.Patterns() {
		channels = append(channels, strconv.Quote(name))
	}
	_, err := fmt.Fprintf(w, "\nThe server would accept it: app %s, peer %q, may %s on %s.\n",
		identity.App.ID, identity.PeerID, orNothing(grant.Actions().String()), orNothing(strings.Join(channels, ", ")))
	return err
}

// orNothing is text, or a word for its absence.
func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// claimText is a claim quoted for a terminal; a list is its elements.
func claimText(claim any) string {
	switch c := claim.(type) {
	case nil:
		return "absent"
	case string:
		return strconv.Quote(c)
	case []any:
		words := make([]string, len(c))
		for i := range c {
			words[i] = claimText(c[i])
		}
		return "[" + strings.Join(words, ", ") + "]"
	default:
		return fmt.Sprintf("%q", fmt.Sprint(c))
	}
}

// claimTime is a time claim as a date and its distance from now.
func claimTime(claim any, now time.Time) string {
	number, ok := claim.(interface{ Float64() (float64, error) })
	if !ok {
		return claimText(claim)
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > maxShownTime {
		return claimText(claim)
	}
	at := time.Unix(int64(seconds), 0)
	date := at.UTC().Format(time.RFC3339)
	switch distance := at.Sub(now).Round(time.Second); {
	case distance < 0:
		return fmt.Sprintf("%s (%s ago)", date, -distance)
	case distance > 0:
		return fmt.Sprintf("%s (in %s)", date, distance)
	default:
		return date + " (now)"
	}
}

// maxShownTime is the last second of the year 9999: beyond it RFC 3339 has no form.
const maxShownTime = 253402300799

// claimPresence says whether a claim is there, not what it holds.
func claimPresence(claim any) string {
	switch c := claim.(type) {
	case nil:
		return "absent"
	case map[string]any:
		return fmt.Sprintf("object of %d members", len(c))
	default:
		return "no object"
	}
}
