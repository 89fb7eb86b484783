package reactor

import (
	"crypto/rand"
	"errors"
	"net"
	"time"
)

// gnet takes no listener, and its own for a unix socket would remove the path from
// under a predecessor's. So connections come by a listener of net's, enter the
// loops as those do that come back from the sidecar, and gnet listens at a name
// that nobody knows, where whoever comes is turned away.

// unixAcceptors is how many connections enter the loops at a time from a unix socket.
const unixAcceptors = enrolling / 2

// acceptAgain is how long after a failure, as of descriptors used up, the next
// connection is accepted.
const acceptAgain = 100 * time.Millisecond

// target is what gnet is to listen on.
func (r *Reactor) target() string {
	if r.cfg.Unix == nil {
		return "tcp://" + r.addr.String()
	}
	return "unix://@signalbox-" + rand.Text() // in no file system
}

// acceptUnix has the loops open what comes by Config.Unix, until that is closed.
func (r *Reactor) acceptUnix() {
	if r.cfg.Unix == nil {
		return
	}
	for range unixAcceptors {
		go func() {
			for {
				switch nc, err := r.cfg.Unix.AcceptUnix(); {
				case err == nil:
					_ = r.enroll(r.lend(nc), &enrolled{fresh: true}) // fails when all ends
				case errors.Is(err, net.ErrClosed):
					return
				default:
					time.Sleep(acceptAgain)
				}
			}
		}()
	}
}
