package main

import (
	"fmt"

	"signalbox/engine"
)

// adminFlags guard the admin address.
type adminFlags struct {
	AdminHost  []string `group:"listen" placeholder:"NAME" help:"Host name or address that requests to the admin address may be for, beside loopback; comma-separated or repeated (default: none)."`
	AdminToken string   `group:"listen" placeholder:"TOKEN" help:"Token that the admin address asks for, as Bearer token or as password with any user name; required off loopback, at least 16 characters. Better set as a variable than on the command line, where others see it (default: none)."`
}

// Validate is called by kong once the flags are parsed.
func (f *adminFlags) Validate() error {
	if f.AdminToken != "" && len(f.AdminToken) < engine.MinAdminToken {
		return fmt.Errorf("--admin-token must have at least %d characters", engine.MinAdminToken)
	}
	return nil
}
