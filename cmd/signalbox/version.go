package main

import (
	"cmp"
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
	_, err := io.WriteString(std.out, describeBuild(version, buildInfo())+"\n")
	return err
}

// buildInfo is what the build recorded, empty if it did not.
func buildInfo() *debug.BuildInfo {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info
	}
	return &debug.BuildInfo{}
}

// buildVersion is the version alone, as one word fit for a User-Agent.
func buildVersion() string { return strings.Trim(versionOf(version, buildInfo()), "()") }

// buildCommit is the commit that it was built from, "" if that is not known.
func buildCommit() string {
	for _, s := range buildInfo().Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// versionOf is the override, else the module's version.
func versionOf(override string, info *debug.BuildInfo) string {
	return cmp.Or(override, info.Main.Version, "(devel)")
}

// describeBuild joins the version (the override, else the module's) with the
// commit it was built from, where the build recorded one.
func describeBuild(override string, info *debug.BuildInfo) string {
	name := versionOf(override, info)
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
