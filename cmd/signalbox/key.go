package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"signalbox/engine/auth"
)

// keyCmd groups the commands that work on the keys of an apps file.
type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Add a key to an app and print it; a secret is shown this once."`
	List   keyListCmd   `cmd:"" help:"List the keys, without their secrets."`
	Revoke keyRevokeCmd `cmd:"" help:"Revoke a key; a running server closes its connections."`
}

// keyCreateCmd adds a key. The rest of the file stays as it is, comments too.
type keyCreateCmd struct {
	appsFlag `embed:""`
	App      string `group:"data" placeholder:"ID" help:"App that gets the key; needed if the file has several."`

	Publishable    bool     `help:"Make a publishable key, for pages; else a secret one, for servers."`
	Patterns       []string `placeholder:"GLOB" default:"**" help:"Channel patterns, comma-separated or repeated (default: ${default}, all channels)."`
	Actions        []string `placeholder:"ACTION" default:"publish,subscribe,presence,send" help:"What the key allows, comma-separated or repeated (default: ${default})."`
	AllowedOrigins []string `placeholder:"ORIGIN" help:"Origins of the pages that may use a publishable key (default: any)."`
	InjectTurn     bool     `help:"Give peers of this key TURN credentials, if the app has a TURN server."`
}

// Run adds the key and prints it.
func (c *keyCreateCmd) Run(std *stdio) error {
	actions, err := parseActions(c.Actions)
	if err != nil {
		return err
	}
	app, err := c.app(std)
	if err != nil {
		return err
	}
	id, secret, err := auth.CreateKey(c.Apps, app.ID, auth.KeySpec{
		Publishable:    c.Publishable,
		Patterns:       c.Patterns,
		Actions:        actions,
		AllowedOrigins: c.AllowedOrigins,
		InjectTurn:     c.InjectTurn,
	})
	if err != nil {
		return err
	}
	if c.Publishable {
		_, err = fmt.Fprintf(std.out, "key     %s\n", id)
		return err
	}
	_, err = fmt.Fprintf(std.out, "id      %s\nsecret  %s\n", id, secret)
	return err
}

// app is the app that gets the key.
func (c *keyCreateCmd) app(std *stdio) (*auth.App, error) {
	set, err := c.load(std)
	if err != nil {
		return nil, err
	}
	return chooseApp(set, c.App)
}

// parseActions joins action words to a set.
func parseActions(words []string) (auth.Actions, error) {
	var actions auth.Actions
	for _, word := range words {
		action, ok := auth.ParseAction(word)
		if !ok {
			return 0, fmt.Errorf("no action %q: there are %s", word, auth.AllActions)
		}
		actions |= action
	}
	return actions, nil
}

// keyListCmd lists keys.
type keyListCmd struct {
	appsFlag `embed:""`
	App      string `group:"data" placeholder:"ID" help:"List the keys of this app alone."`
}

// Run prints a table of keys, a line each.
func (c *keyListCmd) Run(std *stdio) error {
	set, err := c.load(std)
	if err != nil {
		return err
	}
	apps := set.Apps()
	if c.App != "" {
		app, err := chooseApp(set, c.App)
		if err != nil {
			return err
		}
		apps = []*auth.App{app}
	}
	table := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "APP\tKEY\tSTATE\tCHANNELS\tACTIONS\tORIGINS")
	for _, app := range apps {
		for _, key := range app.Keys {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n",
				app.ID, key.ID, keyState(key), patternList(key), key.Actions, originList(key))
		}
	}
	return table.Flush()
}

// keyState says in a word whether the key can be used.
func keyState(key *auth.Key) string {
	switch {
	case key.Revoked:
		return "revoked"
	case key.App.Suspended:
		return "suspended"
	default:
		return "active"
	}
}

func patternList(key *auth.Key) string {
	patterns := make([]string, len(key.Patterns))
	for i, pattern := range key.Patterns {
		patterns[i] = strconv.Quote(pattern.String())
	}
	return strings.Join(patterns, " ")
}

func originList(key *auth.Key) string {
	switch {
	case key.Secret():
		return "-"
	case key.AllowedOrigins == nil:
		return "any"
	default:
		return strings.Join(key.AllowedOrigins, " ")
	}
}

// keyRevokeCmd revokes a key, which stays in the file.
type keyRevokeCmd struct {
	ID string `arg:"" help:"The key's id."`

	appsFlag `embed:""`
}

// Run marks the key as revoked.
func (c *keyRevokeCmd) Run(std *stdio) error {
	if _, err := c.load(std); err != nil {
		return err
	}
	if err := auth.RevokeKey(c.Apps, c.ID); err != nil {
		return err
	}
	_, err := fmt.Fprintf(std.out, "revoked %s\n", c.ID)
	return err
}
