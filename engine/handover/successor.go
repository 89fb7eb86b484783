package handover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/goccy/go-json"
	"golang.org/x/sys/unix"
)

// startTime is how long a successor has until it serves.
const startTime = 30 * time.Second

// Successor is the process that takes this one's place. It serves.
type Successor struct {
	PID  int
	line net.Conn // its end tells the successor that this process has ended
}

// Listener is one that a successor can be left.
type Listener interface {
	net.Listener
	syscall.Conn
}

// Start starts the successor and returns when it serves. When it ends before, does
// not serve in time, or ctx is done, it is killed and the error says why.
func Start(ctx context.Context, offer Offer, listeners map[string]Listener) (*Successor, error) {
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return nil, err
	}
	line, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: path, Args: os.Args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	cmd.ExtraFiles = []*os.File{theirs}
	err = launch(cmd, offer, listeners)
	for _, f := range cmd.ExtraFiles {
		_ = f.Close() // the successor has its own, so that the line ends with it
	}
	if err == nil {
		err = await(ctx, cmd, line)
	}
	if err != nil {
		_ = line.Close()
		return nil, err
	}
	return &Successor{PID: cmd.Process.Pid, line: line}, nil
}

// launch starts the process with the listeners behind its end of the line.
func launch(cmd *exec.Cmd, offer Offer, listeners map[string]Listener) error {
	for name, ln := range listeners {
		f, err := copyOf(ln)
		if err != nil {
			return err
		}
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		offer.Listeners = append(offer.Listeners, name)
	}
	text, err := json.Marshal(offer)
	if err != nil {
		return err
	}
	cmd.Env = append(os.Environ(), variable+"="+string(text))
	return cmd.Start()
}

// pair returns both ends of a line.
func pair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "line")
	f := os.NewFile(uintptr(fds[0]), "line")
	defer f.Close()
	if ours, err = net.FileConn(f); err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// copyOf returns a copy of the listener's descriptor, to be passed on.
func copyOf(ln Listener) (f *os.File, err error) {
	raw, err := ln.SyscallConn()
	if err != nil {
		return nil, err
	}
	if failure := raw.Control(func(fd uintptr) { f, err = still(int(fd)) }); failure != nil {
		return nil, failure
	}
	return f, err
}

// still returns a copy of a descriptor as a file that leaves the socket as it is. A
// file made of a non-blocking descriptor makes it a blocking one when it is passed
// on: for all copies, those in the other process too, whose next accept would then
// hang, and closing the listener with it. So the file is made of another descriptor
// first, in whose place the copy is then put.
func still(fd int) (*os.File, error) {
	place, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	f := os.NewFile(uintptr(place), "listener")
	if err := unix.Dup3(fd, place, unix.O_CLOEXEC); err != nil {
		_ = f.Close() // the first error is the one to tell
		return nil, os.NewSyscallError("dup3", err)
	}
	return f, nil
}

// await waits until the successor serves. If it does not, it has ended when await
// returns.
func await(ctx context.Context, cmd *exec.Cmd, line net.Conn) error {
	endedC := make(chan error, 1)
	go func() { endedC <- cmd.Wait() }()
	saidC := make(chan error, 1)
	_ = line.SetReadDeadline(time.Now().Add(startTime))
	go func() {
		word, err := bufio.NewReaderSize(line, len(serving)).ReadString('\n')
		if err == nil && word != serving {
			err = errors.New("it speaks another language")
		}
		saidC <- err
	}()
	var err error
	select {
	case err = <-saidC:
		if err == nil {
			return nil
		}
		select {
		case ended := <-endedC: // that says more
			return ending(ended)
		case <-time.After(endTime):
		}
	case ended := <-endedC:
		return ending(ended)
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = cmd.Process.Kill() // it may have ended
	<-endedC
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("it did not serve within %s", startTime)
	}
	return err
}

// endTime is how long a process may take to end that has closed its line.
const endTime = time.Second

// ending says how a successor ended.
func ending(err error) error {
	if err == nil {
		return errors.New("it ended: exit status 0")
	}
	return fmt.Errorf("it ended: %w", err)
}
