package main

import (
	"path"
	"slices"
	"strings"
)

// dropInFile is where the package's kernel settings belong, below the root.
const dropInFile = "etc/sysctl.d/90-signalbox.conf"

// dropIn is the file of kernel settings, compared with what is in force.
type dropIn struct {
	installed bool
	differing string // settings that the kernel has otherwise, or does not have: "a, b"
}

// dropIn reads the file, if it is there.
func (f hostFiles) dropIn() dropIn {
	text := f.text(dropInFile)
	d := dropIn{installed: text != ""}
	var differing []string
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || strings.HasPrefix(name, "#") || strings.HasPrefix(name, ";") {
			continue
		}
		inForce := f.text(path.Join("proc/sys", strings.ReplaceAll(name, ".", "/")))
		if !slices.Equal(strings.Fields(inForce), strings.Fields(value)) {
			differing = append(differing, name)
		}
	}
	d.differing = strings.Join(differing, ", ")
	return d
}

// dropInCheck wants the settings of the file, where there is one, in force.
func (h *host) dropInCheck() check {
	c := check{Name: "/" + dropInFile, Found: "in force", State: stateOK}
	switch {
	case !h.dropIn.installed:
		c.Found = "not there"
	case h.dropIn.differing != "":
		c.State = stateAdvice
		c.Found = "not in force"
		c.Note = "the kernel has other values for " + h.dropIn.differing
		c.Commands = []string{"sysctl --system"}
	}
	return c
}
