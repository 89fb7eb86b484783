package main

import (
	"errors"
	"fmt"
	"strings"

	"signalbox/engine/auth"
)

// appsFlag says which apps file a command works on.
type appsFlag struct {
	Apps string `group:"data" placeholder:"FILE" default:"apps.yaml" help:"File with apps and keys (default: ${default})."`
}

// load reads the apps file and passes its warnings on.
func (f *appsFlag) load(std *stdio) (*auth.Set, error) {
	if err := requireAppsFile(f.Apps); err != nil {
		return nil, err
	}
	set, warnings, err := auth.Load(f.Apps)
	if err != nil {
		return nil, err
	}
	for _, warning := range warnings {
		fmt.Fprintf(std.err, "signalbox: warning: %s\n", oneLine(warning.String()))
	}
	return set, nil
}

// chooseApp returns the app called id, or the only one if id is empty.
func chooseApp(set *auth.Set, id string) (*auth.App, error) {
	if id != "" {
		app := set.App(id)
		if app == nil {
			return nil, fmt.Errorf("no app %q in the apps file", id)
		}
		return app, nil
	}
	switch apps := set.Apps(); len(apps) {
	case 0:
		return nil, errors.New("no app in the apps file")
	case 1:
		return apps[0], nil
	default:
		ids := make([]string, len(apps))
		for i, app := range apps {
			ids[i] = app.ID
		}
		return nil, fmt.Errorf("the apps file has several apps: choose one with --app (%s)", strings.Join(ids, ", "))
	}
}
