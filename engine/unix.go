package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// unixPrefix begins a public address that is the path of a unix socket.
const unixPrefix = "unix:"

// unixMode lets the user and the group connect.
const unixMode = 0o660

// publicName is the name under which a successor is left the unix socket.
const publicName = "public"

// openUnix opens the public address if it is a unix socket, unless the predecessor
// has left it.
func (s *Server) openUnix() (err error) {
	path, ok := strings.CutPrefix(s.cfg.Listen, unixPrefix)
	if !ok {
		return nil
	}
	if p := s.cfg.Predecessor; p != nil {
		s.unixLn, _ = p.Listener(publicName).(*net.UnixListener)
	}
	if s.unixLn == nil {
		if s.unixLn, err = listenUnix(path); err != nil {
			return fmt.Errorf("cannot listen on %s: %w", s.cfg.Listen, reason(err))
		}
	}
	s.listeners[publicName] = s.unixLn
	return nil
}

// listenUnix listens at the path, in the place of a socket that nobody answers.
func listenUnix(path string) (*net.UnixListener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		c, err := net.DialTimeout("unix", path, time.Second)
		switch {
		case err == nil:
			_ = c.Close() // all there was to know
		case errors.Is(err, syscall.ECONNREFUSED):
			if err := os.Remove(path); err != nil {
				return nil, err
			}
		}
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, unixMode); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}
