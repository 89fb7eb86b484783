package auth

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

var (
	// ErrUnknownApp and ErrUnknownKey say that the apps file has no such app or key.
	ErrUnknownApp = errors.New("no such app")
	ErrUnknownKey = errors.New("no such key")

	// errLayout says that a file is valid and an edit of its text did not lead to what it should.
	errLayout = errors.New("the file is laid out in a way that cannot be edited safely: change it by hand")
)

// CreateKey adds a fresh key to an app in the file at path and returns it; secret is "" for a publishable one.
// The rest of the file stays as it is to the byte. An empty appID means the file's only app.
func CreateKey(path, appID string, spec KeySpec) (id, secret string, err error) {
	if spec.Publishable {
		id = NewPublishableKey()
	} else {
		id, secret = NewSecretKey()
	}
	err = editFile(path, func(text []byte) ([]byte, error) {
		return addKey(path, text, appID, spec.keyText(id, secret), id)
	})
	if err != nil {
		return "", "", err
	}
	return id, secret, nil
}

// RevokeKey marks a key in the file at path as revoked; the rest stays as it is to the byte. A key that is
// revoked already is no error.
func RevokeKey(path, keyID string) error {
	return editFile(path, func(text []byte) ([]byte, error) { return revokeKey(path, text, keyID) })
}

// addKey returns text with a key more, whose fields are lines. The outcome has been parsed and compared: it is
// the file as it was, and the key.
func addKey(name string, text []byte, appID string, lines []string, keyID string) ([]byte, error) {
	before, s, err := parseSource(name, text)
	if err != nil {
		return nil, err
	}
	if appID == "" && len(before.Apps()) == 1 {
		appID = before.Apps()[0].ID
	}
	app := s.find("apps", appID)
	if app == nil {
		return nil, fmt.Errorf("%s: %w", name, ErrUnknownApp)
	}
	edited, ok := s.insertKey(app, lines)
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, errLayout)
	}
	after, err := Parse(name, edited)
	if err != nil {
		return nil, fmt.Errorf("the new key is not valid: %w", err)
	}
	added := after.Key(keyID)
	if added == nil || added.App.ID != appID || !sameApart(before, after, keyID) {
		return nil, fmt.Errorf("%s: %w", name, errLayout)
	}
	return edited, nil
}

// revokeKey returns text with a key revoked. The outcome has been parsed and compared, as in addKey.
func revokeKey(name string, text []byte, keyID string) ([]byte, error) {
	before, s, err := parseSource(name, text)
	if err != nil {
		return nil, err
	}
	k := before.Key(keyID)
	if k == nil {
		return nil, fmt.Errorf("%s: %w", name, ErrUnknownKey)
	}
	if k.Revoked {
		return text, nil
	}
	edited, ok := s.setRevoked(s.findKey(k.App.ID, keyID))
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, errLayout)
	}
	after, err := Parse(name, edited)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, errLayout)
	}
	want := *k
	want.Revoked = true
	if got := after.Key(keyID); got == nil || !sameKey(&want, got) || !sameApart(before, after, keyID) {
		return nil, fmt.Errorf("%s: %w", name, errLayout)
	}
	return edited, nil
}

// source is a valid apps file: its text, and the tree with positions in it.
type source struct {
	bom  []byte // what the text had before its first line
	text []byte
	root ast.Node
}

// parseSource reads text both ways.
func parseSource(name string, text []byte) (*Set, *source, error) {
	set, err := Parse(name, text)
	if err != nil {
		return nil, nil, err
	}
	root, err := parseTree(name, text)
	if err != nil {
		return nil, nil, err
	}
	s := &source{text: bytes.TrimPrefix(text, utf8BOM), root: root}
	s.bom = text[:len(text)-len(s.text)]
	return set, s, nil
}

// find returns the mapping with this id in the list at the root's member called list, or nil.
func (s *source) find(list, id string) ast.Node { return findID(member(s.root, list), id) }

// findKey returns the mapping of a key, or nil.
func (s *source) findKey(appID, keyID string) ast.Node {
	app := s.find("apps", appID)
	if app == nil {
		return nil
	}
	return findID(member(app, "keys"), keyID)
}

// findID returns the mapping whose id is id in a list, nil without one.
func findID(list *ast.MappingValueNode, id string) ast.Node {
	if list == nil {
		return nil
	}
	sequence, ok := list.Value.(*ast.SequenceNode)
	if !ok {
		return nil
	}
	for _, n := range sequence.Values {
		if m := member(n, "id"); m != nil && m.Value.GetToken().Value == id {
			return n
		}
	}
	return nil
}

// insertKey adds a key to the mapping of an app, in the style of its neighbours.
func (s *source) insertKey(app ast.Node, lines []string) (text []byte, ok bool) {
	flow := "{" + strings.Join(lines, ", ") + "}"
	keys := member(app, "keys")
	if keys == nil {
		if isFlow(app) {
			return s.appendMember(app, "keys: ["+flow+"]")
		}
		return s.appendMember(app, "keys:", "  - "+flow)
	}
	sequence, ok := keys.Value.(*ast.SequenceNode)
	switch {
	case !ok:
		return nil, false
	case len(sequence.Values) == 0:
		return s.insertAfter(sequence.Start, "[", flow)
	}
	last := sequence.Values[len(sequence.Values)-1]
	if sequence.IsFlowStyle {
		mapping, ok := last.(*ast.MappingNode)
		if !ok || !mapping.IsFlowStyle {
			return nil, false
		}
		return s.insertAfter(mapping.End, "}", ", "+flow)
	}
	dash := sequence.Start.Position.Column - 1
	entry := []string{"- " + flow}
	if !isFlow(last) {
		entry[0] = "- " + lines[0]
		for _, line := range lines[1:] {
			entry = append(entry, "  "+line)
		}
	}
	return s.insertLines(s.blockEnd(startOf(last).Position.Line, dash), dash, entry)
}

// setRevoked gives the mapping of a key `revoked: true`.
func (s *source) setRevoked(key ast.Node) (text []byte, ok bool) {
	if key == nil {
		return nil, false
	}
	if m := member(key, "revoked"); m != nil {
		old := m.Value.GetToken()
		at, ok := s.offset(old)
		if !ok || !bytes.HasPrefix(s.text[at:], []byte(old.Value)) {
			return nil, false
		}
		return s.splice(at, at+len(old.Value), "true"), true
	}
	return s.appendMember(key, "revoked: true")
}

// appendMember adds a member to a mapping behind its id, whose value is known to stand on one line. Further
// lines are possible in a block mapping only.
func (s *source) appendMember(mapping ast.Node, lines ...string) (text []byte, ok bool) {
	id := member(mapping, "id")
	value := id.Value.GetToken()
	if !isFlow(mapping) {
		return s.insertLines(value.Position.Line, id.Key.GetToken().Position.Column-1, lines)
	}
	spelling := value.Value
	switch value.Type {
	case token.DoubleQuoteType:
		spelling = `"` + spelling + `"`
	case token.SingleQuoteType:
		spelling = "'" + strings.ReplaceAll(spelling, "'", "''") + "'"
	}
	return s.insertAfter(value, spelling, ", "+lines[0])
}

// insertAfter puts addition behind the token at, which must be spelled so in the text.
func (s *source) insertAfter(at *token.Token, spelling, addition string) (text []byte, ok bool) {
	start, ok := s.offset(at)
	if !ok || !bytes.HasPrefix(s.text[start:], []byte(spelling)) {
		return nil, false
	}
	end := start + len(spelling)
	return s.splice(end, end, addition), true
}

// insertLines puts lines, indented, behind the line of this number, with line ends like its own.
func (s *source) insertLines(number, indent int, lines []string) (text []byte, ok bool) {
	start, ok := s.lineStart(number)
	if !ok {
		return nil, false
	}
	newline := "\n"
	at := len(s.text)
	var addition strings.Builder
	if length := bytes.IndexByte(s.text[start:], '\n'); length >= 0 {
		at = start + length + 1
		if bytes.HasSuffix(s.text[:at], []byte("\r\n")) {
			newline = "\r\n"
		}
	} else {
		addition.WriteString(newline) // the file's last line has no end
	}
	for _, line := range lines {
		addition.WriteString(strings.Repeat(" ", indent) + line + newline)
	}
	return s.splice(at, at, addition.String()), true
}

// blockEnd returns the number of the last line of a block sequence entry that begins on line number and whose
// dash is indented by dash: lines indented deeper belong to it (YAML 1.2 §8.2.1), and so do comments among them.
func (s *source) blockEnd(number, dash int) int {
	end := number
	for next := number + 1; ; next++ {
		start, ok := s.lineStart(next)
		if !ok {
			return end
		}
		line, _, _ := bytes.Cut(s.text[start:], []byte("\n"))
		content := bytes.TrimLeft(line, " ")
		if len(bytes.TrimSpace(content)) == 0 {
			continue
		}
		if len(line)-len(content) <= dash {
			return end
		}
		end = next
	}
}

// lineStart returns the offset of a line, by its number from 1.
func (s *source) lineStart(number int) (offset int, ok bool) {
	for range number - 1 {
		length := bytes.IndexByte(s.text[offset:], '\n')
		if length < 0 {
			return 0, false
		}
		offset += length + 1
	}
	return offset, offset < len(s.text)
}

// offset returns where a token stands in the text. Columns count characters, from 1.
func (s *source) offset(at *token.Token) (offset int, ok bool) {
	if at == nil || at.Position == nil {
		return 0, false
	}
	offset, ok = s.lineStart(at.Position.Line)
	for range at.Position.Column - 1 {
		_, size := utf8.DecodeRune(s.text[offset:])
		offset += size
	}
	return offset, ok
}

// splice returns the whole text with [from:to) replaced.
func (s *source) splice(from, to int, replacement string) []byte {
	return slices.Concat(s.bom, s.text[:from], []byte(replacement), s.text[to:])
}

// sameApart reports whether two sets are equal in everything but the key with this id.
func sameApart(a, b *Set, keyID string) bool {
	others := func(k *Key) bool { return k.ID == keyID }
	return slices.EqualFunc(a.apps, b.apps, func(x, y *App) bool {
		return x.ID == y.ID && x.Suspended == y.Suspended && x.Plan == y.Plan && sameTurn(x.Turn, y.Turn) &&
			slices.EqualFunc(x.Webhooks, y.Webhooks, sameWebhook) &&
			slices.EqualFunc(slices.DeleteFunc(slices.Clone(x.Keys), others), slices.DeleteFunc(slices.Clone(y.Keys), others), sameKey)
	})
}

func sameTurn(a, b *Turn) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.Equal(a.URLs, b.URLs) && a.Secret == b.Secret && a.TTL == b.TTL
}

func sameWebhook(a, b *Webhook) bool {
	return a.URL == b.URL && a.Secret == b.Secret && a.Events == b.Events && slices.Equal(a.Patterns, b.Patterns)
}

// sameKey compares all that the file says of two keys.
func sameKey(a, b *Key) bool {
	return a.ID == b.ID && a.App.ID == b.App.ID && slices.Equal(a.Patterns, b.Patterns) && a.Actions == b.Actions &&
		(a.AllowedOrigins == nil) == (b.AllowedOrigins == nil) && slices.Equal(a.AllowedOrigins, b.AllowedOrigins) &&
		a.Revoked == b.Revoked && a.InjectTurn == b.InjectTurn && a.secret.digest == b.secret.digest && a.Secret() == b.Secret()
}
