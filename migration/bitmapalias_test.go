package migration

import (
	"strings"
	"testing"
)

func TestCheckAliases(t *testing.T) {
	node := func(name, alias string, bitmaps ...BitmapAlias) NodeAlias { return NodeAlias{name, alias, bitmaps} }
	bitmap := func(name, alias string) BitmapAlias { return BitmapAlias{Name: name, Alias: alias} }
	long := strings.Repeat("a", 1024)
	for want, list := range map[string][]NodeAlias{
		"":                                      {node("n", "m", bitmap("a", "b"), bitmap("b", "a")), node("m", "n", bitmap("a", "b"))},
		"The node alias '1' is not well-formed": {node("n", "1")},
		"is longer than 255 bytes":              {node("n", long[:256])},
		"The node name '" + long[:32] + "' is longer than":  {node(long[:32], "m")},
		"The bitmap alias '" + long[:256] + "' is longer":   {node("n", "m", bitmap("a", long[:256]))},
		"is longer than 1023 bytes":                         {node("n", "m", bitmap(long, "a"))},
		"The node name 'n' is mapped twice":                 {node("n", "a"), node("n", "b")},
		"The node alias 'a' is used twice":                  {node("n", "a"), node("m", "a")},
		"The bitmap 'n'/'x' is mapped twice":                {node("n", "a", bitmap("x", "1"), bitmap("x", "2"))},
		"The bitmap alias 'a'/'1' is used twice":            {node("n", "a", bitmap("x", "1"), bitmap("y", "1"))},
		"Invalid mapping given for block-bitmap-mapping: T": {node("n", "")},
	} {
		if err := checkAliases(list); err == nil != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
