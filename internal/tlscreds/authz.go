package tlscreds

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// Simple allows one identity.
type Simple struct{ Identity string }

// Allowed implements Authorizer.
func (s Simple) Allowed(identity string) (bool, error) { return identity == s.Identity, nil }

// Rule is a rule of a List.
type Rule struct {
	Match  string `json:"match"`
	Policy string `json:"policy"` // allow or deny
	Format string `json:"format"` // exact (or empty) or glob
}

// List decides by the first rule that matches.
type List struct {
	Rules  []Rule `json:"rules"`
	Policy string `json:"policy"` // without a match; deny if empty
}

// Allowed implements Authorizer.
func (l *List) Allowed(identity string) (bool, error) {
	for _, r := range l.Rules {
		match := r.Match == identity
		if r.Format == "glob" {
			match = glob(r.Match, identity)
		}
		if match {
			return r.Policy == "allow", nil
		}
	}
	return l.Policy == "allow", nil
}

// glob matches a pattern of '*', '?' and ordinary characters.
func glob(pattern, s string) bool {
	for ; pattern != ""; pattern, s = pattern[1:], s[1:] {
		if pattern[0] == '*' {
			for i := 0; i <= len(s); i++ {
				if glob(pattern[1:], s[i:]) {
					return true
				}
			}
			return false
		}
		if s == "" || pattern[0] != '?' && pattern[0] != s[0] {
			return false
		}
	}
	return s == ""
}

// check refuses words that are not known.
func (l *List) check() error {
	word := func(name, value string, known ...string) error {
		for _, k := range append(known, "") {
			if value == k {
				return nil
			}
		}
		return errorf("Parameter '%s' does not accept value '%s'", name, value)
	}
	err := word("policy", l.Policy, "allow", "deny")
	for i, r := range l.Rules {
		err = errors.Join(err, word(errorf("rules[%d].policy", i).Error(), r.Policy, "allow", "deny"),
			word(errorf("rules[%d].format", i).Error(), r.Format, "exact", "glob"))
	}
	return err
}

// ListFile is a List in a file, which is read again whenever it is asked if refresh is set.
type ListFile struct {
	name    string
	refresh bool
	list    *List
}

// NewListFile reads the file.
func NewListFile(name string, refresh bool) (*ListFile, error) {
	switch {
	case name == "":
		return nil, errors.New("filename not provided")
	case refresh && !filepath.IsAbs(name):
		return nil, errors.New("Filename must be an absolute path")
	}
	f := &ListFile{name: name, refresh: refresh}
	return f, f.read()
}

func (f *ListFile) read() error {
	b, err := os.ReadFile(f.name)
	if err != nil {
		return errorf("Unable to read '%s': %v", f.name, err)
	}
	l := new(List)
	if err := json.Unmarshal(b, l); err != nil {
		return errorf("File '%s' must contain a JSON object", f.name)
	}
	if err := l.check(); err != nil {
		return err
	}
	f.list = l
	return nil
}

// Allowed implements Authorizer. A file that became unreadable allows nobody.
func (f *ListFile) Allowed(identity string) (bool, error) {
	if f.refresh {
		if err := f.read(); err != nil {
			return false, err
		}
	}
	return f.list.Allowed(identity)
}
