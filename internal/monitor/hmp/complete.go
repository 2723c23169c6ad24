package hmp

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// complete lists what the last word of text may become, and the length of that word.
func (m *Monitor) complete(text string) (list []string, have int) {
	words, ok := splitWords(text)
	if !ok {
		return nil, 0
	}
	if text != "" && strings.Contains(blanks, text[len(text)-1:]) {
		if len(words) == maxWords {
			return nil, 0
		}
		words = append(words, "")
	}
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	list = slices.DeleteFunc(m.candidates(m.commands, words), func(s string) bool { return !strings.HasPrefix(s, last) })
	slices.Sort(list)
	return slices.Compact(list), len(last)
}

func (m *Monitor) candidates(table []*Command, words []string) (list []string) {
	if len(words) == 1 {
		for _, c := range table {
			if m.available(c) {
				list = append(list, strings.Split(c.Name, "|")...)
			}
		}
		return list
	}
	i := slices.IndexFunc(table, func(c *Command) bool { return c.is(words[0]) && m.available(c) })
	if i < 0 {
		return nil
	}
	switch c := table[i]; {
	case c.Sub != nil:
		return m.candidates(c.Sub, words[1:])
	case c.Complete != nil:
		return c.Complete(m, words)
	case c.is("help"):
		return m.candidates(table, words[1:])
	default:
		return m.byType(c, words)
	}
}

// byType completes an argument whose type says what it names.
func (m *Monitor) byType(c *Command, words []string) []string {
	n := 0
	for _, w := range words[1 : len(words)-1] {
		if !strings.HasPrefix(w, "-") {
			n++
		}
	}
	for _, one := range strings.Split(c.Args, ",") {
		_, typ, ok := strings.Cut(one, ":")
		if !ok || typ[0] == '-' || typ[0] == '/' {
			continue
		}
		if n--; n >= 0 {
			continue
		}
		switch {
		case typ[0] == 'F':
			return files(words[len(words)-1])
		case typ[0] == 'B' && m.BlockDevices != nil:
			return m.BlockDevices()
		}
		return nil
	}
	return nil
}

// files lists the files whose names begin as prefix does, directories with a slash.
func files(prefix string) (list []string) {
	dir, _ := filepath.Split(prefix)
	read := dir
	if read == "" {
		read = "."
	}
	entries, err := os.ReadDir(read)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		name := dir + e.Name()
		if st, err := os.Stat(name); err == nil && st.IsDir() {
			name += "/"
		}
		list = append(list, name)
	}
	return list
}
