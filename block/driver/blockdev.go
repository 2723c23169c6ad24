package driver

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"goemu/block"
)

// options turns a flat set of text options into a node's.
func (d Dict) options() *block.Options {
	o := block.NewOptions()
	for k, v := range d {
		o.Set(k, v)
	}
	return o
}

// parseNode reads -blockdev in either syntax.
func parseNode(text string) (*block.Options, error) {
	if !strings.HasPrefix(text, "{") {
		d, err := ParseKeyval(text)
		return d.options(), err
	}
	v, err := block.DecodeJSON(text)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("Invalid parameter type, expected: object")
	}
	return block.OptionsFromJSON(m), nil
}

// AddBlockdev opens a node as -blockdev says, in either syntax.
func (s *Drives) AddBlockdev(text string) error {
	o, err := parseNode(text)
	if err != nil {
		return err
	}
	if err := s.checkNode(o, ""); err != nil {
		return err
	}
	name, ok := o.Get("node-name")
	if !ok || name == "" {
		return errors.New("'node-name' must be specified for the root node")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Graph.Lock()
	defer s.Graph.Unlock()
	_, err = s.AddNode(context.Background(), o)
	return err
}

// unexpected puts an option that is left over into the words of the schema's check.
func unexpected(err error) error {
	var e *block.LeftoverError
	if errors.As(err, &e) {
		return fmt.Errorf("Parameter '%s' is unexpected", e.Path)
	}
	return err
}

// checkNode checks what must be there before anything is opened: drivers and, for them, the filename or the file.
func (s *Drives) checkNode(o *block.Options, prefix string) error {
	name, ok := o.Get(prefix + "driver")
	if !ok {
		return fmt.Errorf("Parameter '%sdriver' is missing", prefix)
	}
	d := s.Graph.FindDriver(fmt.Sprint(name))
	if d == nil {
		return fmt.Errorf("Parameter '%s' does not accept value '%v'", "driver", name)
	}
	if d.NeedsFilename && !o.Has(prefix+"filename") {
		return fmt.Errorf("Parameter '%sfilename' is missing", prefix)
	}
	for _, child := range []string{"file", "backing"} {
		key := prefix + child
		switch {
		case o.Has(key):
		case o.HasPrefix(key):
			if err := s.checkNode(o, key+"."); err != nil {
				return err
			}
		case child == "file" && !d.Protocol && needsFile(d):
			return fmt.Errorf("Parameter '%s' is missing", key)
		}
	}
	return nil
}

// needsFile tells whether a driver has a child "file" that must be given.
func needsFile(d *block.Driver) bool { return !d.Combiner }
