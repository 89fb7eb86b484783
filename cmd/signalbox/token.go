package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"signalbox/engine/auth"
)

// tokenCmd groups the commands that work on tokens.
type tokenCmd struct {
	Mint  tokenMintCmd  `cmd:"" help:"Print a token, signed with a secret key of the apps file."`
	Check tokenCheckCmd `cmd:"" help:"Show what a token claims, and say in words whether and why the server would refuse it."`
}

// tokenMintCmd signs a token. It refuses what the server would.
type tokenMintCmd struct {
	PeerID string `arg:"" name:"peer-id" help:"Peer that the token names."`

	appsFlag `embed:""`
	App      string `group:"data" placeholder:"ID" help:"App whose key signs; needed if the file has several."`
	Key      string `group:"data" placeholder:"ID" help:"Secret key that signs (default: the app's first usable one)."`

	Channels     []string      `placeholder:"NAME" help:"Channels and globs the token is for, comma-separated or repeated (default: all that the key allows)."`
	Permissions  []string      `placeholder:"ACTION" help:"Any of publish, subscribe, presence, send (default: all that the key allows)."`
	ExpiresIn    time.Duration `placeholder:"D" default:"1h" help:"Life of the token, at most 24h (default: ${default})."`
	Metadata     string        `placeholder:"JSON" help:"Object that only this peer sees, in its welcome."`
	PeerMetadata string        `placeholder:"JSON" help:"Object that other peers see."`
}

// Run prints the token.
func (c *tokenMintCmd) Run(std *stdio) error {
	set, err := c.load(std)
	if err != nil {
		return err
	}
	key, err := c.signingKey(set)
	if err != nil {
		return err
	}
	if c.ExpiresIn < time.Second {
		return errors.New("--expires-in must be at least 1s")
	}
	now := time.Now()
	token, _, err := key.Sign(auth.Claims{
		PeerID:       c.PeerID,
		Channels:     c.Channels,
		Permissions:  c.Permissions,
		ExpiresIn:    int64(c.ExpiresIn / time.Second),
		Metadata:     optionalBytes(c.Metadata),
		PeerMetadata: optionalBytes(c.PeerMetadata),
	}, now)
	if err != nil {
		return err
	}
	if _, err := set.VerifyToken(token, now); err != nil {
		return fmt.Errorf("the server would refuse such a token: %s", refusalDetail(err))
	}
	_, err = fmt.Fprintln(std.out, token)
	return err
}

// signingKey returns the key that was asked for, or the app's first secret key that is not revoked.
func (c *tokenMintCmd) signingKey(set *auth.Set) (*auth.Key, error) {
	if c.Key != "" {
		key := set.Key(c.Key)
		if key == nil || !key.Secret() || c.App != "" && key.App.ID != c.App {
			return nil, fmt.Errorf("no such secret key in the apps file: %s", c.Key)
		}
		return key, nil
	}
	app, err := chooseApp(set, c.App)
	if err != nil {
		return nil, err
	}
	for _, key := range app.Keys {
		if key.Secret() && !key.Revoked {
			return key, nil
		}
	}
	return nil, fmt.Errorf(`app %s has no usable secret key: make one with "signalbox key create"`, app.ID)
}

// optionalBytes is text as bytes, nil if it is empty.
func optionalBytes(text string) []byte {
	if text == "" {
		return nil
	}
	return []byte(text)
}

// refusalDetail says why a token is refused.
func refusalDetail(err error) string {
	var refusal *auth.Refusal
	if errors.As(err, &refusal) {
		return refusal.Detail
	}
	return err.Error()
}

// tokenCheckCmd looks at a token as the server would.
type tokenCheckCmd struct {
	Token string `arg:"" optional:"" help:"The token; without it, it is read from stdin, where no process list shows it."`

	appsFlag `embed:""`
}

// maxTokenInput bounds what is read from stdin, in bytes: a token and the white space around it.
const maxTokenInput = auth.MaxTokenLen + 1024

// Run prints what the token claims and how the server would answer it; a refusal is an error.
func (c *tokenCheckCmd) Run(std *stdio) error {
	set, err := c.load(std)
	if err != nil {
		return err
	}
	token := c.Token
	if token == "" || token == "-" {
		input, err := io.ReadAll(io.LimitReader(std.in, maxTokenInput))
		if err != nil {
			return fmt.Errorf("read the token from stdin: %w", err)
		}
		token = string(input)
	}
	token = strings.TrimSpace(token)
	now := time.Now()
	if err := printClaims(std.out, token, now); err != nil {
		return err
	}
	identity, err := set.VerifyToken(token, now)
	if err != nil {
		var refusal *auth.Refusal
		if !errors.As(err, &refusal) {
			return err
		}
		return fmt.Errorf("the server would refuse this token with %s: %s", refusalAnswer(refusal), refusal.Detail)
	}
	return printIdentity(std.out, identity)
}

// refusalAnswer names the answer that the peer gets.
func refusalAnswer(refusal *auth.Refusal) string {
	if refusal.Status != 0 {
		return fmt.Sprintf("HTTP %d %s", refusal.Status, refusal.Code)
	}
	return fmt.Sprintf("close code %d", refusal.Close)
}
