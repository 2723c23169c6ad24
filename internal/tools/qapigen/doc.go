package main

import (
	"regexp"
	"strings"
)

// doc is the documentation of one definition.
type doc struct {
	name    string
	text    []string // paragraphs
	members map[string]string
	order   []string // members as documented
	returns string
	since   string
}

var (
	docName    = regexp.MustCompile(`^@([\w.+-]+):$`)
	docMember  = regexp.MustCompile(`^@([\w.+-]+):\s*(.*)$`)
	docReturns = regexp.MustCompile(`^Returns:\s*(.*)$`)
	docSince   = regexp.MustCompile(`^Since:\s*(.*)$`)
)

// parseDoc reads the comment block before a definition.
func parseDoc(e *expr, lines []string) (*doc, error) {
	if lines == nil {
		return nil, nil
	}
	m := docName.FindStringSubmatch(lines[0])
	if m == nil {
		return nil, e.errorf("documentation must begin with '@name:'")
	}
	d := &doc{name: m[1], members: map[string]string{}}
	text := "" // paragraph being read
	sink := func(s string) { d.text = append(d.text, s) }
	flush := func() {
		if text != "" {
			sink(text)
		}
		text = ""
	}
	free := sink
	for _, line := range lines[1:] {
		line = strings.TrimSpace(line)
		if line == "" {
			flush()
			sink = free
			continue
		}
		if m := docMember.FindStringSubmatch(line); m != nil {
			flush()
			name := m[1]
			d.order = append(d.order, name)
			sink = func(s string) { d.members[name] = s }
			text = m[2]
			continue
		}
		if m := docReturns.FindStringSubmatch(line); m != nil {
			flush()
			sink = func(s string) { d.returns = s }
			text = m[1]
			continue
		}
		if line == "Features:" {
			flush()
			continue
		}
		if m := docSince.FindStringSubmatch(line); m != nil {
			flush()
			d.since = m[1]
			continue
		}
		if text != "" {
			text += " "
		}
		text += line
	}
	flush()
	return d, nil
}
