package reactor

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzParam expects of Param what net/url makes of a query.
func FuzzParam(f *testing.F) {
	for _, query := range []string{
		"", "token=t", "token=", "token", "=t", "&", "&&token=t", "a=b&token=t&token=u", "token=a=b", "tokens=a&token=t",
		"token=a%20b", "tok%65n=t", "token=a+b", "token=%zz&token=t", "token=a;b&token=t", "token=t?token=u", "token=t#key=k",
		"key=k&token=t", strings.Repeat("a&", maxPlain) + "token=t", strings.Repeat("a&", 10000) + "token=t",
	} {
		f.Add("/v1?" + query)
	}
	f.Add("/v1")
	f.Fuzz(func(t *testing.T, target string) {
		r := Request{Target: []byte(target)}
		_, query, _ := strings.Cut(target, "?")
		values, _ := url.ParseQuery(query)
		for _, name := range []string{"token", "key"} {
			if got, ok := r.Param(name); string(got) != values.Get(name) || ok != values.Has(name) {
				t.Errorf("%s: got %q, %v, want %q, %v", name, got, ok, values.Get(name), values.Has(name))
			}
		}
	})
}
