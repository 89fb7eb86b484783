package main

import (
	"errors"
	"fmt"
	"io/fs"

	"signalbox/engine/auth"
)

// initCmd writes a first apps file.
type initCmd struct {
	appsFlag `embed:""`
	App      string `group:"data" placeholder:"ID" default:"app_demo" help:"Id of the app (default: ${default})."`
}

// Run writes the file, unless there is one: that holds keys in use.
func (c *initCmd) Run(std *stdio) error {
	if !auth.ValidAppID(c.App) {
		return errors.New("--app must be 1–128 printable ASCII characters without a space")
	}
	text, keyID, _, publishable := auth.Template(c.App)
	err := auth.CreateFile(c.Apps, text)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf(`%s exists already and may hold keys in use: name another file with --apps, or add a key with "signalbox key create"`, c.Apps)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, `Wrote %s (mode 0600: it holds a secret) with app %s,
  secret key       %s
  publishable key  %s
Next: signalbox serve --apps %s
`, c.Apps, c.App, keyID, publishable, c.Apps)
	return err
}
