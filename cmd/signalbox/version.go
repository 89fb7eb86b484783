package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
)

// version overrides what the build knows about itself. Packagers set it:
//
//	go build -ldflags "-X main.version=v1.2.3"
var version string

// versionCmd says which build this is.
type versionCmd struct{}

// Run prints the version as one line.
func (versionCmd) Run(std *stdio) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	_, err := io.WriteString(std.out, describeBuild(version, info)+"\n")
	return err
}

// describeBuild joins the version (the override, else the module's) with the
// commit it was built from, where the build recorded one.
func describeBuild(override string, info *debug.BuildInfo) string {
	name := override
	if name == "" {
		name = info.Main.Version
	}
	if name == "" {
		name = "(devel)"
	}
	settings := make(map[string]string, len(info.Settings))
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	text := "signalbox " + name
	commit := fmt.Sprintf("%.12s", settings["vcs.revision"])
	if commit != "" && !strings.Contains(name, commit) { // a pseudo-version holds all of this
		text += " commit " + commit
		if settings["vcs.modified"] == "true" {
			text += " (modified)"
		}
		if at := settings["vcs.time"]; at != "" {
			text += " of " + at
		}
	}
	return fmt.Sprintf("%s %s %s/%s", text, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
