package hooks

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"signalbox/engine/auth"
)

const (
	// requestTimeout bounds a request, to the end of its answer.
	requestTimeout = 10 * time.Second
	// maxRequests is how many requests are under way at a time, over all apps: each has
	// a connection, and descriptors that run out end the server. It is enough for
	// receivers to be hanging in dozens before others notice.
	maxRequests = 64
	// maxIdle is how many connections are kept for further requests.
	maxIdle = 32
	// maxAnswer is how much of an answer's body is read, in bytes, so that the
	// connection can serve again; nothing is made of it.
	maxAnswer = 64 << 10
	// firstDelay and maxDelay bound the time between two tries; it doubles, and
	// half of it is random.
	firstDelay = time.Second
	maxDelay   = 5 * time.Minute
)

// MaxDescriptors is how many descriptors Hooks have open at a time for connections. For
// a request there is one, or two while its host is looked up or dialled by both
// families, and there may be one more that was dialled for a request given up since.
const MaxDescriptors = 3*maxRequests + maxIdle

// newClient returns a client that follows no redirect.
func newClient(t http.RoundTripper) *http.Client {
	if t == nil {
		t = newTransport()
	}
	return &http.Client{
		Transport:     t,
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: requestTimeout}).DialContext,
		TLSHandshakeTimeout:    requestTimeout,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    auth.MaxWebhooks,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxAnswer,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

// deliver delivers the queue's batches one after the other until ctx is done,
// or all ends and nothing is left that can be delivered now.
func (h *Hooks) deliver(ctx context.Context, q *queue) {
	failures := 0
	var failed *auth.Webhook // as it was when it failed last
	for h.await(ctx, q) {
		if !h.enter(ctx) {
			return
		}
		hook, err := h.attempt(ctx, q)
		<-h.requestC
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errUnreadable): // says nothing of the webhook
		case err == nil && failures > 0:
			h.log.Info("a webhook takes events again", "app", q.app, host(hook), "failures", failures)
			failures = 0
		case err != nil:
			if failed != nil && (failed.URL != hook.URL || failed.Secret != hook.Secret) {
				failures = 0 // another receiver, which has not been waited for yet
			}
			failed = hook
			if failures++; failures == 1 {
				h.log.Warn("a webhook does not take events; trying again", "app", q.app, host(hook), "error", err)
			}
			h.retried.Add(1)
			if !h.pause(ctx, q, failures) {
				return
			}
		}
	}
}

// host names a webhook in the log: the rest of its URL may be a secret.
func host(w *auth.Webhook) slog.Attr {
	u, err := url.Parse(w.URL)
	if err != nil {
		return slog.String("host", "")
	}
	return slog.String("host", u.Host)
}

// await waits until the queue has a batch, and takes hold of it.
func (h *Hooks) await(ctx context.Context, q *queue) bool {
	for ctx.Err() == nil {
		h.mu.Lock()
		q.flying = len(q.batches) > 0
		flying, ending := q.flying, h.ending
		h.mu.Unlock()
		if flying || ending {
			return flying
		}
		select {
		case <-q.wakeC:
		case <-h.endingC:
		case <-ctx.Done():
		}
	}
	return false
}

// enter waits for one of the maxRequests. Who has waited longest comes first: receivers
// that hang delay others by a request's time, and no more.
func (h *Hooks) enter(ctx context.Context) bool {
	select {
	case h.requestC <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// errUnreadable is why a batch was dropped that never left.
var errUnreadable = errors.New("hooks: a batch cannot be read")

// attempt sends the queue's first batch and, if that is over and done with, takes
// it out.
func (h *Hooks) attempt(ctx context.Context, q *queue) (*auth.Webhook, error) {
	h.mu.Lock()
	if ctx.Err() != nil { // the queue was discarded
		h.mu.Unlock()
		return nil, ctx.Err()
	}
	hook, b := q.hook, q.batches[0]
	body := b.body
	h.mu.Unlock()
	if body == nil {
		var err error
		if body, err = h.disk.body(newKey(q.id, b.seq)); err != nil {
			if ctx.Err() != nil { // the queue was discarded meanwhile, and with it what the file had
				return nil, ctx.Err()
			}
			h.log.Error("events for a webhook cannot be read and are dropped", "app", q.app, "events", b.events, "error", err)
			h.forfeit(q)
			return hook, errUnreadable
		}
	}
	status, err := h.post(ctx, hook, body)
	switch {
	case err != nil:
	case status/100 == 2:
		h.settle(q, true)
	case status == http.StatusGone:
		h.log.Warn("a webhook refuses a batch for good, it is dropped", "app", q.app, host(hook), "events", b.events)
		h.settle(q, false)
	default:
		err = errors.New("status " + strconv.Itoa(status))
	}
	return hook, err
}

// settle takes the first batch, which was in flight, out of the queue: delivered
// or given up.
func (h *Hooks) settle(q *queue, delivered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(q.batches) == 0 { // the queue was discarded meanwhile
		return
	}
	q.flying = false
	if n := int64(h.remove(q, 0).events); delivered {
		h.delivered.Add(n)
	} else {
		h.dropped.Add(n)
	}
	signal(h.inbox.wakeC) // for the file
}

// forfeit takes the first batch, which was in flight and is lost, out of the queue.
func (h *Hooks) forfeit(q *queue) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(q.batches) == 0 { // the queue was discarded meanwhile
		return
	}
	q.flying = false
	h.drop(q, 0)
	signal(h.inbox.wakeC) // for the file
}

// errAnswer stands for whatever is wrong with an answer.
var errAnswer = errors.New("hooks: the answer cannot be made sense of")

// post sends one request and returns the answer's status. Its error names no
// part of the URL but the host, and quotes nothing that the receiver has sent.
func (h *Hooks) post(ctx context.Context, hook *auth.Webhook, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.URL, bytes.NewReader(body))
	if err != nil {
		return 0, plain(err)
	}
	now := time.Now().Unix()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", h.agent)
	req.Header.Set(timestampHeader, strconv.FormatInt(now, 10))
	req.Header.Set(signatureHeader, signature(hook.Secret, now, body))
	var connected atomic.Bool
	resp, err := h.client.Do(req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) }, // again, if a kept one was dead
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})))
	switch {
	case err == nil:
	case connected.Load():
		return 0, unquoted(err)
	default:
		return 0, plain(err)
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // the status says it all
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}

// plain strips the URL from an error.
func plain(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// unquoted returns what has become of a request that had a connection. net/http's
// own words may quote the answer: its first line, a header, the address of a redirect
// that is not followed.
func unquoted(err error) error {
	var timeout net.Error
	var op *net.OpError
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return context.DeadlineExceeded
	case errors.As(err, &op):
		return op
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	}
	return errAnswer
}

// pause waits before the next try and reports whether there is to be one.
func (h *Hooks) pause(ctx context.Context, q *queue, failures int) bool {
	d := maxDelay
	if n := failures - 1; n < 20 {
		d = min(firstDelay<<n, maxDelay)
	}
	timer := time.NewTimer(d/2 + rand.N(d/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-q.resetC: // another URL or secret
		return true
	case <-h.endingC:
		return false
	case <-ctx.Done():
		return false
	}
}
