package auth

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"signalbox/protocol"
)

const (
	// DefaultTurnTTL is the life of TURN credentials in seconds where the file does not say.
	DefaultTurnTTL = 3600
	// MaxTurnTTL is the longest life of TURN credentials, in seconds: a year.
	MaxTurnTTL = 365 * 86400
)

// defaultPlan names the plan of an app without one; its limits are zero, unlimited.
const defaultPlan = "SELF_HOSTED"

// maxTurnURLs and maxTurnURLLen are what the SDK takes of one iceServers entry.
const (
	maxTurnURLs   = 16
	maxTurnURLLen = 512
)

// Parse reads the text of an apps file. name is what errors call the file. The error is a *FileError, for the
// first fault in the file's order of reading.
func Parse(name string, text []byte) (*Set, error) {
	root, err := parseTree(name, text)
	if err != nil {
		return nil, err
	}
	d := &fileReader{name: name, appIDs: make(map[string]int), keyIDs: make(map[string]int)}
	apps := d.readFile(root)
	if d.fault != nil {
		return nil, d.fault
	}
	return newSet(apps), nil
}

// fileReader turns the tree of an apps file into apps. The first fault sticks: from then on what its methods
// return does not matter.
type fileReader struct {
	name   string
	fault  *FileError
	appIDs map[string]int // id → line
	keyIDs map[string]int // id → line
}

// fail records a fault at n unless there is one. format must not take anything from the file but numbers.
func (d *fileReader) fail(n ast.Node, format string, args ...any) {
	d.failAt(startOf(n), format, args...)
}

func (d *fileReader) failAt(at *token.Token, format string, args ...any) {
	if d.fault != nil {
		return
	}
	d.fault = &FileError{Name: d.name, Line: 1, Col: 1, Problem: fmt.Sprintf(format, args...)}
	if at != nil && at.Position != nil {
		d.fault.Line, d.fault.Col = at.Position.Line, max(at.Position.Column, 1)
	}
}

func (d *fileReader) readFile(root ast.Node) []*App {
	if root == nil || root.Type() == ast.CommentType {
		d.fail(nil, `the file is empty: it must hold "apps", a list`)
		return nil
	}
	f := d.fields(root, "the file", "apps")
	var apps []*App
	for _, n := range f.required("apps").list() {
		apps = append(apps, d.readApp(n))
	}
	return apps
}

func (d *fileReader) readApp(n ast.Node) *App {
	f := d.fields(n, "an app", "id", "suspended", "plan", "turn", "webhooks", "keys")
	id := f.required("id")
	app := &App{ID: id.text(), Suspended: f.optional("suspended").flag(), Plan: Plan{Name: defaultPlan}}
	if !ValidAppID(app.ID) {
		id.fail("an app's id is 1–%d printable ASCII characters without a space", maxIDLen)
	}
	d.unique(d.appIDs, app.ID, id)
	if plan := f.optional("plan"); plan.present() {
		app.Plan = d.readPlan(plan.node)
	}
	if turn := f.optional("turn"); turn.present() {
		app.Turn = d.readTurn(turn.node)
	}
	app.Webhooks = d.readWebhooks(f.optional("webhooks"))
	keys := f.optional("keys")
	for _, n := range keys.list() {
		k := d.readKey(n)
		k.App = app
		app.Keys = append(app.Keys, k)
	}
	if len(app.Keys) > MaxKeys {
		keys.fail("an app has at most %d keys", MaxKeys)
	}
	return app
}

func (d *fileReader) readPlan(n ast.Node) Plan {
	f := d.fields(n, "a plan", "name", "maxConcurrentConnections", "maxMessagesPerPeriod", "overagesAllowed", "overagesEnabled")
	plan := Plan{
		Name:                     defaultPlan,
		MaxConcurrentConnections: f.optional("maxConcurrentConnections").count(),
		MaxMessagesPerPeriod:     f.optional("maxMessagesPerPeriod").count(),
		OveragesAllowed:          f.optional("overagesAllowed").flag(),
		OveragesEnabled:          f.optional("overagesEnabled").flag(),
	}
	if name := f.optional("name"); name.present() {
		plan.Name = name.text()
		if plan.Name == "" || len(plan.Name) > maxIDLen {
			name.fail("a plan's name is 1–%d bytes long", maxIDLen)
		}
	}
	return plan
}

func (d *fileReader) readTurn(n ast.Node) *Turn {
	f := d.fields(n, "turn", "urls", "secret", "ttl")
	urls, secret, ttl := f.required("urls"), f.required("secret"), f.optional("ttl")
	turn := &Turn{URLs: urls.texts(), Secret: secret.text(), TTL: DefaultTurnTTL}
	if len(turn.URLs) == 0 || len(turn.URLs) > maxTurnURLs {
		urls.fail("urls lists 1–%d URLs", maxTurnURLs)
	}
	for i, url := range turn.URLs {
		if !validTurnURL(url) {
			urls.failAt(i, "a TURN URL begins with turn:, turns:, stun: or stuns: and is at most %d bytes long", maxTurnURLLen)
		}
	}
	if turn.Secret == "" {
		secret.fail("the TURN secret is empty")
	}
	if ttl.present() {
		if turn.TTL = ttl.count(); turn.TTL < 1 || turn.TTL > MaxTurnTTL {
			ttl.fail("ttl is 1–%d seconds", MaxTurnTTL)
		}
	}
	return turn
}

func validTurnURL(url string) bool {
	scheme, _, found := strings.Cut(url, ":")
	return found && len(url) <= maxTurnURLLen && isGraphic(url) &&
		slices.Contains([]string{"turn", "turns", "stun", "stuns"}, scheme)
}

func (d *fileReader) readKey(n ast.Node) *Key {
	f := d.fields(n, "a key", "id", "secret", "channelPatterns", "actions", "allowedOrigins", "injectTurn", "revoked")
	id := f.required("id")
	k := &Key{
		ID:         id.text(),
		Patterns:   d.readPatterns(f.required("channelPatterns")),
		Actions:    d.readActions(f.required("actions")),
		Revoked:    f.optional("revoked").flag(),
		InjectTurn: f.optional("injectTurn").flag(),
	}
	switch {
	case validKeyID(k.ID, secretIDPrefix):
		if origins := f.optional("allowedOrigins"); origins.present() {
			origins.fail("allowedOrigins belongs to a publishable key")
		}
		k.secret = d.readSecret(f.required("secret"))
	case validKeyID(k.ID, publishablePrefix):
		if secret := f.optional("secret"); secret.present() {
			secret.fail("a publishable key has no secret")
		}
		k.AllowedOrigins = d.readOrigins(f.optional("allowedOrigins"))
	default:
		id.fail("a key's id begins with %s (secret) or %s (publishable) and is at most %d printable ASCII characters, without a space or colon",
			secretIDPrefix, publishablePrefix, maxIDLen)
	}
	d.unique(d.keyIDs, k.ID, id)
	return k
}

func (d *fileReader) readSecret(v value) secret {
	text := v.text()
	switch {
	case !strings.HasPrefix(text, secretPrefix) || !isGraphic(text):
		v.fail("a secret begins with %s and is printable ASCII without a space", secretPrefix)
	case len(text) < MinSecretLen:
		v.fail("a secret shorter than %d characters can be guessed from one token", MinSecretLen)
	}
	return newSecret(text)
}

func (d *fileReader) readPatterns(v value) []protocol.Glob {
	texts := v.texts()
	if len(texts) > MaxPatterns {
		v.fail("a key has at most %d channelPatterns", MaxPatterns)
	}
	patterns := make([]protocol.Glob, 0, len(texts))
	for i, text := range texts {
		if !protocol.ValidChannel(text) {
			v.failAt(i, "a channel pattern is 1–%d bytes long, without control characters", protocol.MaxChannelLen)
		}
		patterns = append(patterns, protocol.CompileGlob(text))
	}
	return patterns
}

func (d *fileReader) readActions(v value) (actions Actions) {
	for i, word := range v.texts() {
		action, known := ParseAction(word)
		if !known {
			v.failAt(i, "unknown action; there are %s", AllActions)
		}
		actions |= action
	}
	return actions
}

// readOrigins returns nil for an absent list, which any origin satisfies; an empty list none satisfies.
func (d *fileReader) readOrigins(v value) []string {
	if !v.present() {
		return nil
	}
	origins := v.texts()
	for i, origin := range origins {
		if !validOrigin(origin) {
			v.failAt(i, "an origin is scheme://host or scheme://host:port as browsers send it: lower case, no path, no wildcard")
		}
	}
	return origins
}

// validOrigin reports whether a browser could send origin (RFC 6454 §6.2). Anything else would never match.
func validOrigin(origin string) bool {
	scheme, host, found := strings.Cut(origin, "://")
	return found && scheme != "" && host != "" && isGraphic(origin) &&
		origin == strings.ToLower(origin) && !strings.ContainsAny(host, `/\?#@*,`) && !strings.ContainsAny(scheme, ":/,")
}

// unique records id, found at v, and faults a second use of it.
func (d *fileReader) unique(lines map[string]int, id string, v value) {
	if line, used := lines[id]; used {
		v.fail("this id is used already, at line %d", line)
	}
	if at := startOf(v.node); at != nil {
		lines[id] = at.Position.Line
	}
}

// fields are the members of one mapping of the file.
type fields struct {
	d    *fileReader
	node ast.Node
	what string // what the mapping is, for errors
}

// fields takes n as a mapping with members out of known only. what names it in errors.
func (d *fileReader) fields(n ast.Node, what string, known ...string) fields {
	f := fields{d: d, node: n, what: what}
	values, ok := members(n)
	if !ok {
		d.fail(n, "%s must be a mapping with the fields %s", what, strings.Join(known, ", "))
		return f
	}
	for _, m := range values {
		key, ok := m.Key.(*ast.StringNode)
		if !ok || !slices.Contains(known, key.Value) {
			d.fail(m.Key, "unknown field; %s has %s", what, strings.Join(known, ", "))
		}
	}
	return f
}

// optional returns the member called name, which may be absent.
func (f fields) optional(name string) value {
	v := value{d: f.d, name: name}
	if m := member(f.node, name); m != nil {
		v.node = m.Value
	}
	return v
}

// required returns the member called name and faults its absence.
func (f fields) required(name string) value {
	v := f.optional(name)
	if !v.present() {
		f.d.fail(f.node, "%s lacks the field %s", f.what, name)
	}
	return v
}

// value is a member's value, or its absence, which reads as the zero value of every type.
type value struct {
	d    *fileReader
	name string
	node ast.Node // nil: absent
}

func (v value) present() bool { return v.node != nil }

func (v value) fail(format string, args ...any) { v.d.fail(v.node, format, args...) }

// failAt faults element i of a list.
func (v value) failAt(i int, format string, args ...any) {
	if list, ok := v.node.(*ast.SequenceNode); ok && i < len(list.Values) {
		v.d.fail(list.Values[i], format, args...)
		return
	}
	v.fail(format, args...)
}

// text reads a string. What YAML takes for a number, a truth value or null is none unless quoted.
func (v value) text() string {
	switch n := v.node.(type) {
	case nil:
	case *ast.StringNode:
		return n.Value
	case *ast.NullNode:
		v.fail("%s is empty", v.name)
	default:
		v.fail("%s must be a string; quote it if it is one", v.name)
	}
	return ""
}

func (v value) flag() bool {
	switch n := v.node.(type) {
	case nil:
	case *ast.BoolNode:
		return n.Value
	default:
		v.fail("%s must be true or false", v.name)
	}
	return false
}

// count reads a whole number from 0 on, in plain decimal digits.
func (v value) count() int64 {
	if !v.present() {
		return 0
	}
	if n, ok := v.node.(*ast.IntegerNode); ok {
		if i, err := strconv.ParseInt(n.Token.Value, 10, 64); err == nil && i >= 0 && strconv.FormatInt(i, 10) == n.Token.Value {
			return i
		}
	}
	v.fail("%s must be a whole number, 0 or more", v.name)
	return 0
}

func (v value) list() []ast.Node {
	switch n := v.node.(type) {
	case nil:
	case *ast.SequenceNode:
		return n.Values
	case *ast.NullNode:
		v.fail("%s is empty; write [] for an empty list", v.name)
	default:
		v.fail("%s must be a list", v.name)
	}
	return nil
}

func (v value) texts() []string {
	nodes := v.list()
	texts := make([]string, 0, len(nodes))
	for _, n := range nodes {
		texts = append(texts, value{d: v.d, name: "every entry of " + v.name, node: n}.text())
	}
	return texts
}
