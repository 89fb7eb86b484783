package auth

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// MaxFileSize is the largest apps file read, in bytes.
	MaxFileSize = 4 << 20
	// maxNesting bounds flow collections within each other: the YAML parser recurses.
	maxNesting = 32
)

// utf8BOM may start a file that was written on Windows.
var utf8BOM = []byte("\xef\xbb\xbf")

// FileError is a fault in the apps file. It shows where the fault is and never what stands there.
type FileError struct {
	Name      string // of the file, as the caller gave it
	Line, Col int    // from 1; Col counts characters
	Problem   string
}

// Error renders the fault as compilers do: name:line:column: problem.
func (e *FileError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.Name, e.Line, e.Col, e.Problem)
}

// parseTree parses text, which is one YAML document, and returns its root: nil for a document that holds
// nothing.
func parseTree(name string, text []byte) (ast.Node, error) {
	fault := func(at *token.Token, problem string) error {
		e := &FileError{Name: name, Line: 1, Col: 1, Problem: problem}
		if at != nil && at.Position != nil {
			e.Line, e.Col = at.Position.Line, max(at.Position.Column, 1)
		}
		return e
	}
	if len(text) > MaxFileSize {
		return nil, fault(nil, "the file is over "+strconv.Itoa(MaxFileSize)+" bytes")
	}
	text = bytes.TrimPrefix(text, utf8BOM)
	if !utf8.Valid(text) {
		return nil, fault(nil, "the file is not UTF-8")
	}
	tokens := lexer.Tokenize(string(text))
	if deep := deepToken(tokens); deep != nil {
		return nil, fault(deep, "collections nested too deep")
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		var syntax yaml.Error
		if !errors.As(err, &syntax) {
			return nil, fault(nil, "not valid YAML")
		}
		return nil, fault(syntax.GetToken(), syntaxProblem(syntax.GetMessage()))
	}
	var root ast.Node
	for _, doc := range file.Docs {
		if root != nil && doc.Body != nil {
			return nil, fault(startOf(doc.Body), "a second document; apps are listed in one")
		}
		if doc.Body != nil {
			root = doc.Body
		}
	}
	return root, nil
}

// syntaxProblem passes on the YAML parser's message without what it quotes from the file.
func syntaxProblem(message string) string {
	message, _, _ = strings.Cut(message, " character '")
	switch {
	case strings.HasPrefix(message, "mapping key"):
		return "this field is given twice"
	case message == "" || strings.ContainsAny(message, "\"`\n"):
		return "not valid YAML"
	}
	return "not valid YAML: " + message
}

// deepToken returns the token at which collections nest deeper than maxNesting: flow collections opened within
// each other, or block sequences begun on one line.
func deepToken(tokens token.Tokens) *token.Token {
	flow, entries, line := 0, 0, 0
	for _, tk := range tokens {
		if tk.Position != nil && tk.Position.Line != line {
			line, entries = tk.Position.Line, 0
		}
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType:
			entries++
		}
		if flow > maxNesting || entries > maxNesting {
			return tk
		}
	}
	return nil
}

// members returns the members of a mapping; ok is false for any other node.
func members(n ast.Node) (values []*ast.MappingValueNode, ok bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// member returns the value of the member called name, or nil.
func member(n ast.Node, name string) *ast.MappingValueNode {
	values, _ := members(n)
	for _, m := range values {
		if key, ok := m.Key.(*ast.StringNode); ok && key.Value == name {
			return m
		}
	}
	return nil
}

// startOf returns the first token of a node.
func startOf(n ast.Node) *token.Token {
	if n == nil {
		return nil
	}
	if values, ok := members(n); ok && len(values) > 0 && !isFlow(n) {
		return values[0].Key.GetToken() // a block mapping's own token is its first colon
	}
	return n.GetToken()
}

// isFlow reports whether n is a mapping or sequence in brackets.
func isFlow(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.IsFlowStyle
	case *ast.SequenceNode:
		return n.IsFlowStyle
	}
	return false
}
