package target

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/pprof/profile"
)

// ProfileEverything is the environment of a Go server whose heap profile is to
// hold every object instead of one in 512 KiB. It makes the server slower and
// larger.
const ProfileEverything = "GODEBUG=memprofilerate=1"

// Heap is how many bytes are alive, by the function that allocated them, named
// without the path of its package and without type arguments.
type Heap map[string]int64

// Heap has our server collect its garbage and returns what is left, by the
// profile that its admin address serves.
func (t *Target) Heap(ctx context.Context) (Heap, error) {
	text, err := t.ask(ctx, "/debug/pprof/heap?gc=1")
	if err != nil {
		return nil, err
	}
	p, err := profile.ParseData(text)
	if err != nil {
		return nil, fmt.Errorf("target: the heap profile: %w", err)
	}
	return heapOf(p)
}

// heapAlloc is what the runtime says of the heap in a profile that is text.
var heapAlloc = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)

// Live has our server collect its garbage and returns how many bytes of its heap
// are left.
func (t *Target) Live(ctx context.Context) (int64, error) {
	text, err := t.ask(ctx, "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return 0, err
	}
	found := heapAlloc.FindSubmatch(text)
	if found == nil {
		return 0, errors.New("target: the heap profile does not tell what is alive")
	}
	return strconv.ParseInt(string(found[1]), 10, 64)
}

// heapOf adds a heap profile up.
func heapOf(p *profile.Profile) (Heap, error) {
	i := slices.IndexFunc(p.SampleType, func(v *profile.ValueType) bool { return v.Type == "inuse_space" })
	if i < 0 {
		return nil, errors.New("target: the heap profile does not tell what is in use")
	}
	h := make(Heap)
	for _, s := range p.Sample {
		h[short(allocator(s))] += s.Value[i]
	}
	return h, nil
}

// allocator is the innermost function of a sample's stack that is not of Go's
// own library.
func allocator(s *profile.Sample) string {
	for _, l := range s.Location { // from the innermost out
		for _, line := range l.Line {
			if name := line.Function.Name; !standard(name) {
				return name
			}
		}
	}
	return "Go's library"
}

// standard reports whether the function is of Go's own library, whose paths
// begin with no domain. This module's do not, either.
func standard(function string) bool {
	if strings.HasPrefix(function, "signalbox/") {
		return false
	}
	domain, _, inFolder := strings.Cut(typeArguments.ReplaceAllString(function, ""), "/")
	return !inFolder || !strings.Contains(domain, ".")
}

// Growth is what a function has allocated that was not there before.
type Growth struct {
	Function string
	Bytes    int64
}

// Since returns what h holds more than before, the largest first.
func (h Heap) Since(before Heap) []Growth {
	var list []Growth
	for function, bytes := range h {
		if d := bytes - before[function]; d > 0 {
			list = append(list, Growth{function, d})
		}
	}
	slices.SortFunc(list, func(a, b Growth) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Function, b.Function))
	})
	return list
}

var typeArguments = regexp.MustCompile(`\[.*\]`)

// short is a function's name as Heap has it.
func short(function string) string {
	name := typeArguments.ReplaceAllString(function, "")
	return name[strings.LastIndex(name, "/")+1:]
}
