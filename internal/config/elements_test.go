package config

import (
	"slices"
	"testing"
)

func TestSplitElements(t *testing.T) {
	for list, want := range map[string][]string{
		"":          {""},
		"a":         {"a"},
		"a,b=c":     {"a", "b=c"},
		"a,,b,c":    {"a,b", "c"},
		",":         {"", ""},
		",,":        {","},
		",,,":       {",", ""},
		"a,":        {"a", ""},
		"a,,":       {"a,"},
		"x=,,,,y,z": {"x=,,y", "z"},
	} {
		if got := SplitElements(list); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", list, got, want)
		}
	}
	if elem, rest, more := CutElement("a,b,,c"); elem != "a" || rest != "b,,c" || !more {
		t.Errorf("%q %q %v", elem, rest, more)
	}
	if elem, rest, more := CutElement("b,,c"); elem != "b,c" || rest != "" || more {
		t.Errorf("%q %q %v", elem, rest, more)
	}
}

func TestWellFormedID(t *testing.T) {
	for id, want := range map[string]bool{"a": true, "Z9": true, "a-b.c_d": true, "": false, "9a": false, "-a": false, "a/b": false, "a b": false, "é": false, "a\x00": false} {
		if WellFormedID(id) != want {
			t.Errorf("%q: %v", id, !want)
		}
	}
}
