package tool

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"goemu/block"

	"golang.org/x/sys/unix"
)

// CreateOptions are the options of a driver with values: those that the user gave and the defaults.
type CreateOptions struct {
	desc   []block.Option
	values map[string]any    // string, bool, uint64
	texts  map[string]string // as given
}

// NewCreateOptions makes an empty set of the options described; of two with one name the first counts.
func NewCreateOptions(tables ...[]block.Option) *CreateOptions {
	c := &CreateOptions{values: map[string]any{}, texts: map[string]string{}}
	for _, table := range tables {
		for _, o := range table {
			if c.find(o.Name) == nil {
				c.desc = append(c.desc, o)
			}
		}
	}
	return c
}

func (c *CreateOptions) find(name string) *block.Option {
	i := slices.IndexFunc(c.desc, func(o block.Option) bool { return o.Name == name })
	if i < 0 {
		return nil
	}
	return &c.desc[i]
}

// Parse takes the values out of a list.
func (c *CreateOptions) Parse(list string) error {
	pairs, _ := splitOptions(list, "", nil)
	if HasHelp(list) {
		pairs = append(pairs, pair{"help", "on"})
	}
	for _, p := range pairs {
		if p.name == "id" {
			continue
		}
		if err := c.Set(p.name, p.value); err != nil {
			return err
		}
	}
	return nil
}

// Set stores one value from its text.
func (c *CreateOptions) Set(name, text string) error {
	d := c.find(name)
	if d == nil {
		return block.Errorf(unix.EINVAL, "Invalid parameter '%s'", name)
	}
	o := block.OptionsOf(name, text)
	var v any
	var err error
	switch d.Type {
	case block.OptBool:
		v, err = o.TakeBool(name, false)
	case block.OptNumber:
		v, err = parseNumber(name, text)
	case block.OptSize:
		v, err = ParseSizeOption(name, text)
	default:
		v = text
	}
	if err != nil {
		return err
	}
	c.values[name], c.texts[name] = v, text
	return nil
}

func parseNumber(name, text string) (uint64, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 0, 64)
	if err == nil {
		return n, nil
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(text), 0, 64); err == nil {
		return uint64(n), nil // counts down from 2^64, as in C
	}
	if e := new(strconv.NumError); asNumError(err, &e) && e.Err == strconv.ErrRange {
		return 0, block.Errorf(unix.ERANGE, "Value '%s' is too large for parameter '%s'", text, name)
	}
	return 0, block.Errorf(unix.EINVAL, "Parameter '%s' expects a number", name)
}

func asNumError(err error, e **strconv.NumError) bool {
	n, ok := err.(*strconv.NumError)
	*e = n
	return ok
}

// SetNumber stores a number.
func (c *CreateOptions) SetNumber(name string, n int64) {
	c.values[name], c.texts[name] = uint64(n), strconv.FormatInt(n, 10)
}

// Get is an option's text, or its default's; ok is false if there is neither.
func (c *CreateOptions) Get(name string) (text string, ok bool) {
	if text, ok = c.texts[name]; ok {
		return text, true
	}
	if d := c.find(name); d != nil && d.Default != "" {
		return d.Default, true
	}
	return "", false
}

// Has tells whether the user gave the option.
func (c *CreateOptions) Has(name string) bool { _, ok := c.values[name]; return ok }

// Size is the value of an option of type size that was given, or def.
func (c *CreateOptions) Size(name string, def int64) int64 {
	if v, ok := c.values[name].(uint64); ok {
		return int64(v)
	}
	return def
}

// Options are the values given, for a driver; the size is left out.
func (c *CreateOptions) Options() *block.Options {
	o := block.NewOptions()
	for name, v := range c.values {
		if name != "size" {
			o.Set(name, v)
		}
	}
	return o
}

// String lists all values and defaults in the order of the description, as in "Formatting …".
func (c *CreateOptions) String() string {
	var items []string
	for _, d := range c.desc {
		v, given := c.values[d.Name]
		switch text, ok := c.Get(d.Name); {
		case !ok:
		case d.Type == block.OptString:
			items = append(items, d.Name+"="+strings.ReplaceAll(text, ",", ",,"))
		case given && (d.Type == block.OptSize || d.Type == block.OptNumber):
			items = append(items, fmt.Sprintf("%s=%d", d.Name, int64(v.(uint64))))
		default:
			items = append(items, d.Name+"="+text)
		}
	}
	return strings.Join(items, " ")
}

// helpColumn is where the explanations begin.
const helpColumn = 24

var optionTypes = [...]string{block.OptString: "str", block.OptBool: "bool (on/off)", block.OptNumber: "num", block.OptSize: "size"}

// Help writes the options with their explanations.
func (c *CreateOptions) Help(w io.Writer) {
	lines := make([]string, len(c.desc))
	for i, d := range c.desc {
		lines[i] = fmt.Sprintf("  %s=<%s>", d.Name, optionTypes[d.Type])
		if d.Help != "" {
			lines[i] = fmt.Sprintf("%-*s - %s", helpColumn, lines[i], d.Help)
		}
	}
	slices.Sort(lines)
	for _, l := range lines {
		fmt.Fprintln(w, l)
	}
	if len(lines) == 0 {
		fmt.Fprintln(w, "No options available.")
	}
}
