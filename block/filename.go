package block

import (
	"context"
	"encoding/json"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/qapi"
)

// jsonPrefix marks a filename that is an object of options.
const jsonPrefix = "json:"

// parseJSONFilename reads "json:{…}"; ok is false for any other filename.
func parseJSONFilename(filename string) (o *Options, ok bool, err error) {
	text, ok := strings.CutPrefix(filename, jsonPrefix)
	if !ok {
		return nil, false, nil
	}
	v, err := DecodeJSON(text)
	if err != nil {
		return nil, true, Prepend(err, "Could not parse the JSON options: ")
	}
	m, isObject := v.(map[string]any)
	if !isObject {
		return nil, true, Errorf(unix.EINVAL, "Invalid JSON object given")
	}
	return OptionsFromJSON(m), true, nil
}

// DecodeJSON decodes one JSON value the way QEMU does. Objects become maps, numbers json.Number.
func DecodeJSON(text string) (any, error) {
	v, err := qapi.ParseJSON(text)
	if err != nil {
		return nil, Errorf(unix.EINVAL, "%s", err)
	}
	return plainJSON(v), nil
}

func plainJSON(v any) any {
	switch v := v.(type) {
	case *qapi.Object:
		m := make(map[string]any, v.Len())
		for name, member := range v.All() {
			m[name] = plainJSON(member)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = plainJSON(e)
		}
		return list
	case int64, uint64, float64:
		return json.Number(qapi.AppendJSON(nil, v))
	}
	return v
}

// HasProtocol tells whether a path begins with a protocol: a colon comes before the first slash.
func HasProtocol(path string) bool {
	i := strings.IndexAny(path, ":/")
	return i >= 0 && path[i] == ':'
}

// IsAbsolute tells whether a path is absolute.
func IsAbsolute(path string) bool { return strings.HasPrefix(path, "/") }

// CombinePath resolves filename against the directory of base, which may have a protocol prefix.
func CombinePath(base, filename string) string {
	if IsAbsolute(filename) {
		return filename
	}
	keep := 0
	if HasProtocol(base) {
		keep = strings.IndexByte(base, ':') + 1
	}
	keep = max(keep, strings.LastIndexByte(base, '/')+1)
	return base[:keep] + filename
}

// FullBackingFilename resolves the name of a backing file against that of the image which has it.
func FullBackingFilename(backed, backing string) (string, error) {
	switch {
	case backing == "" || HasProtocol(backing) || IsAbsolute(backing):
		return backing, nil
	case backed == "" || strings.HasPrefix(backed, jsonPrefix):
		return "", Errorf(unix.EINVAL, "Cannot use relative backing file names for '%s'", backed)
	}
	return CombinePath(backed, backing), nil
}

// FindProtocol finds the driver for a filename: by its prefix (unless prefixes do not count), the kind of the host's file, or "file".
func (g *Graph) FindProtocol(filename string, prefixes bool) (*Driver, error) {
	var hosted *Driver
	best := 0
	for _, d := range g.drivers {
		if d.ProbeDevice == nil {
			continue
		}
		if score := d.ProbeDevice(filename); score > best {
			hosted, best = d, score
		}
	}
	switch {
	case hosted != nil:
		return hosted, nil
	case !prefixes || !HasProtocol(filename):
		if d := g.FindDriver("file"); d != nil {
			return d, nil
		}
		return nil, Errorf(unix.EINVAL, "Unknown protocol '%s'", "file")
	}
	scheme, _, _ := strings.Cut(filename, ":")
	for _, d := range g.drivers {
		for _, s := range d.Schemes {
			if s == scheme {
				return d, nil
			}
		}
	}
	return nil, Errorf(unix.EINVAL, "Unknown protocol '%s'", scheme)
}

// RefreshFilename works the names of the node and all nodes below it out anew.
// Preconditions: the graph lock is held.
func (n *Node) RefreshFilename() { n.refreshFilename() }

func (n *Node) refreshFilename() {
	if n.driver == nil || n.state == nil {
		return
	}
	for _, c := range n.children {
		c.node.refreshFilename()
	}
	if n.implicit && len(n.children) == 1 {
		below := n.children[0].node
		n.exactFilename, n.filename, n.fullOptions = below.exactFilename, below.filename, below.fullOptions
		return
	}
	overridden := n.backingOverridden() && !n.mode.NoIO
	opts, strong := n.strongOptions()
	if gather, ok := n.state.(ChildOptionGatherer); ok {
		gather.GatherChildOptions(opts, overridden)
	} else {
		n.gatherChildren(opts, overridden)
	}
	n.fullOptions = opts
	switch namer, ok := n.state.(FileNamer); {
	case ok:
		if n.exactFilename, ok = namer.ExactFilename(); !ok {
			n.exactFilename = ""
		}
	case n.Primary() != nil:
		n.exactFilename = ""
		p := n.Primary().node
		if p.driver != nil && p.driver.Protocol && !n.driver.Filter && !strong && !overridden {
			n.exactFilename = p.exactFilename
		}
	}
	if n.filename = n.exactFilename; n.filename == "" {
		n.filename = truncateFilename(jsonPrefix + opts.JSON())
	}
}

// maxFilename is the size of QEMU's buffer for filenames, with the final zero.
const maxFilename = 1024 + 3072

func truncateFilename(s string) string {
	if len(s) < maxFilename {
		return s
	}
	return s[:maxFilename-4] + "..."
}

// ChildOptionGatherer puts the options of its children into o by itself, as they may have other names there than the edges have.
type ChildOptionGatherer interface {
	GatherChildOptions(o *NestedOptions, backingOverridden bool)
}

// gatherChildren adds the options of all children.
func (n *Node) gatherChildren(opts *NestedOptions, overridden bool) {
	for _, c := range n.children {
		if c == n.Backing() && !overridden {
			continue
		}
		opts.Put(c.name, c.node.fullOptions)
	}
	if overridden && n.Backing() == nil {
		opts.Put("backing", nil)
	}
}

// strongOptions collects the options that change what a reader sees; strong is true if a plain filename cannot express them.
func (n *Node) strongOptions() (opts *NestedOptions, strong bool) {
	opts = &NestedOptions{}
	put := func(name string) bool {
		v, ok := n.options.Get(name)
		if ok {
			opts.Put(name, v)
		}
		return ok
	}
	put(optDriver)
	put(optFilename)
	for _, name := range n.driver.StrongOptions {
		if !strings.HasSuffix(name, ".") {
			strong = put(name) || strong
			continue
		}
		for _, full := range n.options.Order() {
			if strings.HasPrefix(full, name) {
				strong = put(full) || strong
			}
		}
	}
	if _, ok := opts.Get(optDriver); !ok {
		opts.Put(optDriver, n.driver.Name)
	}
	return opts, strong
}

// FullOptions are the options that open this node with its children again, as in a json: filename.
func (n *Node) FullOptions() *NestedOptions { return n.fullOptions }

// ExactFilename is the plain filename that opens this node again, or empty.
func (n *Node) ExactFilename() string { return n.exactFilename }

// Dirname is the directory that relative names in the image refer to, with a final slash unless empty.
func (n *Node) Dirname() (string, error) {
	if d, ok := n.state.(Dirnamer); ok {
		return d.Dirname()
	}
	if p := n.Primary(); p != nil {
		return p.node.Dirname()
	}
	n.refreshFilename()
	if n.exactFilename != "" {
		return CombinePath(n.exactFilename, ""), nil
	}
	return "", Errorf(unix.ENOTSUP, "Cannot generate a base directory for %s nodes", n.driver.Name)
}

// Dirnamer knows (or refuses to say) the directory of relative names.
type Dirnamer interface {
	Dirname() (string, error)
}

// AbsoluteFilename resolves a name in the image against the image's directory.
func (n *Node) AbsoluteFilename(filename string) (string, error) {
	if filename == "" || HasProtocol(filename) || IsAbsolute(filename) {
		return filename, nil
	}
	dir, err := n.Dirname()
	return dir + filename, err
}

// SetBackingFile notes the name and format of the backing file that the image contains; a driver's Open calls it. An empty format is probed.
func (n *Node) SetBackingFile(name, format string) {
	n.backingFile, n.backingFormat, n.autoBacking = name, format, name
}

// BackingFile is the name and format of the backing file that the image contains.
func (n *Node) BackingFile() (name, format string) { return n.backingFile, n.backingFormat }

// FullBackingFile is the name of the image's backing file resolved against its directory.
func (n *Node) FullBackingFile() (string, error) {
	n.refreshFilename()
	return n.AbsoluteFilename(n.backingFile)
}

// BackingOverridden tells whether the node's backing file is another one than the image says.
// Preconditions: the graph lock is held.
func (n *Node) BackingOverridden() bool {
	n.refreshFilename()
	return n.backingOverridden()
}

func (n *Node) backingOverridden() bool {
	if b := n.Backing(); b != nil {
		return n.autoBacking != b.node.filename
	}
	return n.autoBacking != ""
}

// OpenBacking opens the node's backing file again after it was opened without one.
// Preconditions: the graph lock is held.
func (n *Node) OpenBacking(ctx context.Context) error { return n.openBacking(ctx, NewOptions()) }

// openBacking opens the backing file that the options or the image name.
func (n *Node) openBacking(ctx context.Context, o *Options) error {
	if n.Backing() != nil {
		return nil
	}
	n.mode.NoBacking = false
	sub := o.Extract("backing")
	ref, isRef := o.TakeString("backing")
	filename, implicit := "", false
	switch {
	case isRef || sub.Has("file.filename"):
	case n.backingFile == "" && sub.Len() == 0:
		return nil
	default:
		implicit = sub.Len() == 0 && n.autoBacking == n.backingFile
		var err error
		if filename, err = n.FullBackingFile(); err != nil {
			return err
		}
	}
	if !n.driver.SupportsBacking {
		return Errorf(unix.EINVAL, "Driver doesn't support backing files")
	}
	if !isRef && n.backingFormat != "" {
		sub.SetDefault(optDriver, n.backingFormat)
	}
	role := RoleCOW
	if n.driver.Filter {
		role = RoleFiltered | RolePrimary
	}
	var below *Node
	var err error
	if isRef {
		below, err = n.graph.reference(ref, filename, sub)
	} else {
		op := &opening{g: n.graph, filename: filename, options: sub, parent: n, role: role, path: n.path + "backing."}
		below, err = op.run(ctx)
	}
	if err != nil {
		n.mode.NoBacking = true
		return Prepend(err, "Could not open backing file: ")
	}
	if implicit {
		below.refreshFilename()
		n.autoBacking = below.filename
	}
	if _, err := n.graph.attachChild(n, below, "backing", role); err != nil {
		return err
	}
	return n.refreshLimits()
}
