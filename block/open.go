package block

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"goemu/internal/config"
)

// opening is a node on its way: what was asked for and what has been found out so far.
type opening struct {
	g        *Graph
	filename string
	options  *Options // shrinks as they are understood
	mode     Mode
	protocol bool // a protocol node is wanted: no format is probed
	literal  bool // the filename has no prefixes
	parent   *Node
	role     Role
	path     string // of the options, from the node that was to be opened
}

// Open opens a node from a filename, options or both, the way QEMU's blockdev and -drive options do: protocol prefixes, json:{…}, probing of
// the format when no driver is named, and the chain of backing files. The caller owns one reference.
// Preconditions: the graph lock is held.
func (g *Graph) Open(ctx context.Context, filename string, o *Options, m Mode) (*Node, error) {
	if o == nil {
		o = NewOptions()
	}
	op := &opening{g: g, filename: filename, options: o, mode: m}
	return op.run(ctx)
}

// OpenProtocol is Open without probing: a filename alone opens the host's object and no format over it.
// Preconditions: the graph lock is held.
func (g *Graph) OpenProtocol(ctx context.Context, filename string, o *Options, m Mode) (*Node, error) {
	if o == nil {
		o = NewOptions()
	}
	op := &opening{g: g, filename: filename, options: o, mode: m, protocol: true}
	return op.run(ctx)
}

// run opens the node.
func (op *opening) run(ctx context.Context) (n *Node, err error) {
	if !op.literal {
		if err := op.parseJSON(); err != nil {
			return nil, err
		}
	}
	n = &Node{graph: op.g, refs: 1, explicit: op.options.Clone(), inheritsFrom: op.parent, path: op.path}
	if op.parent != nil {
		op.inherit()
	}
	d, err := op.fill()
	if err != nil {
		return nil, err
	}
	readOnly, err := op.options.Clone().TakeBool("read-only", false)
	if err != nil {
		return nil, err
	}
	op.mode.ReadOnly = readOnly
	n.mode, n.options = op.mode, op.options.Clone()
	op.noBacking(n)

	var file *Node
	if !op.protocol {
		if file, err = op.openFile(ctx, n); err != nil {
			return nil, err
		}
	}
	if file != nil {
		defer op.g.Unref(file)
	}
	if d, err = op.probe(ctx, n, d, file); err != nil {
		return nil, err
	}
	if err := op.openDriver(ctx, n, d, file); err != nil {
		n.abandon()
		return nil, err
	}
	if err := op.finish(ctx, n); err != nil {
		op.g.Unref(n)
		return nil, err
	}
	return n, nil
}

// parseJSON merges the options of a json: filename; options given beside it come first.
func (op *opening) parseJSON() error {
	o, ok, err := parseJSONFilename(op.filename)
	if !ok || err != nil {
		return err
	}
	op.options.Merge(o, false)
	op.filename = ""
	return nil
}

// inherit derives the child's mode and default options from its parent.
func (op *opening) inherit() {
	p, role := op.parent, op.role
	isFormat := p.driver == nil || p.driver.isFormat()
	op.protocol = p.protocol()
	if !isFormat && role&RoleData != 0 && role&(RoleMetadata|RoleFiltered) == 0 {
		op.protocol = false
	}
	if isFormat && role&RoleCOW == 0 || role&RoleMetadata != 0 {
		op.protocol = true
	}
	copied := []string{optDirect, optNoFlush, optForceShare}
	if role&RoleCOW != 0 {
		op.options.SetDefault(optReadOnly, "on")
		op.options.SetDefault(optAutoReadOnly, "off")
	} else {
		copied = append(copied, optReadOnly, optAutoReadOnly)
	}
	for _, name := range copied {
		if v, ok := p.options.Get(name); ok {
			op.options.SetDefault(name, v)
		}
	}
	op.options.SetDefault(optDiscard, "unmap")
	op.mode = p.mode
	op.mode.NoBacking, op.mode.CopyOnRead, op.mode.Unmap, op.mode.DetectZeroes = false, false, false, DetectOff
	if role&RoleMetadata != 0 {
		op.mode.NoIO = false
	}
	if role&RoleCOW != 0 {
		op.mode.Temporary = false
	}
}

// The options that every node has.
const (
	optDriver       = "driver"
	optNodeName     = "node-name"
	optFilename     = "filename"
	optReadOnly     = "read-only"
	optAutoReadOnly = "auto-read-only"
	optDirect       = "cache.direct"
	optNoFlush      = "cache.no-flush"
	optForceShare   = "force-share"
	optDiscard      = "discard"
	optDetectZeroes = "detect-zeroes"
)

// onOff is how flags become options.
func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// fill completes the options and finds the driver as far as options and filename tell.
func (op *opening) fill() (d *Driver, err error) {
	o := op.options
	if name := o.text(optDriver); name != "" {
		if d = op.g.FindDriver(name); d == nil {
			return nil, Errorf(unix.ENOENT, "Unknown driver '%s'", name)
		}
		op.protocol = d.Protocol
	}
	o.SetDefault(optDirect, onOff(op.mode.Direct))
	o.SetDefault(optNoFlush, onOff(op.mode.NoFlush))
	o.SetDefault(optReadOnly, onOff(op.mode.ReadOnly))
	o.SetDefault(optAutoReadOnly, onOff(op.mode.AutoReadOnly))
	if !op.protocol {
		return d, nil
	}
	parse := false
	if op.filename != "" {
		if o.Has(optFilename) {
			return nil, Errorf(unix.EINVAL, "Can't specify 'file' and 'filename' options at the same time")
		}
		o.Set(optFilename, op.filename)
		parse = !op.literal
	}
	filename := o.text(optFilename)
	if d == nil {
		if filename == "" {
			return nil, Errorf(unix.EINVAL, "Must specify either driver or file")
		}
		if d, err = op.g.FindProtocol(filename, parse); err != nil {
			return nil, err
		}
		o.Set(optDriver, d.Name)
	}
	if d.ParseFilename != nil && parse {
		if err := d.ParseFilename(filename, o); err != nil {
			return nil, err
		}
		if !d.NeedsFilename {
			o.Delete(optFilename)
		}
	}
	return d, nil
}

// noBacking obeys "backing": null, which asks for no backing file.
func (op *opening) noBacking(n *Node) {
	v, ok := op.options.Get("backing")
	if s, isText := v.(string); !ok || v != nil && (!isText || s != "") {
		return
	}
	if v != nil {
		op.g.warn(`Use of "backing": "" is deprecated; use "backing": null instead`)
	}
	op.mode.NoBacking, n.mode.NoBacking = true, true
	for _, o := range []*Options{op.options, n.options, n.explicit} {
		o.Delete("backing")
	}
}

// openFile opens the protocol node under a format or filter, so that the format can be probed; the driver finds it by the option "file".
func (op *opening) openFile(ctx context.Context, n *Node) (*Node, error) {
	file, err := n.openChildNode(ctx, op.filename, op.options, "file", RoleImage, false, false)
	if file != nil {
		op.options.Set("file", file.name)
	}
	return file, err
}

// probe finds the format of an image for which no driver was named.
func (op *opening) probe(ctx context.Context, n *Node, d *Driver, file *Node) (*Driver, error) {
	if d != nil {
		return d, nil
	}
	if file == nil {
		return nil, Errorf(unix.EINVAL, "Must specify either driver or file")
	}
	d, err := op.g.findFormat(ctx, file, op.filename)
	if err != nil {
		return nil, err
	}
	n.probed = true
	n.options.Set(optDriver, d.Name)
	op.options.Set(optDriver, d.Name)
	return d, nil
}

// ProbeSize is how many bytes of an image the formats see to recognise it.
const ProbeSize = 2048

// findFormat probes the format of the image in a protocol node.
func (g *Graph) findFormat(ctx context.Context, file *Node, filename string) (*Driver, error) {
	length, err := file.Length(ctx)
	if err == nil && length == 0 {
		if d := g.FindDriver("raw"); d != nil {
			return d, nil
		}
	}
	head := make([]byte, ProbeSize)
	if err := file.readV(ctx, 0, [][]byte{head}, 0); err != nil {
		return nil, Errnof(Errno(err), "Could not read image for determining its format")
	}
	if d := g.ProbeFormat(head, filename); d != nil {
		return d, nil
	}
	return nil, Errorf(unix.ENOENT, "Could not determine image format: No compatible driver found")
}

// ProbeFormat finds the format that the first bytes of an image look most like, or nil.
func (g *Graph) ProbeFormat(head []byte, filename string) *Driver {
	var best *Driver
	top := 0
	for _, d := range g.drivers {
		if d.Probe == nil {
			continue
		}
		if score := d.Probe(head, filename); score > top {
			best, top = d, score
		}
	}
	return best
}

// takeCommon takes the options that every node has.
func (op *opening) takeCommon(n *Node) (name string, err error) {
	o := op.options
	o.Delete(optDriver)
	name, _ = o.TakeString(optNodeName)
	return name, n.mode.take(o)
}

// take takes the options that become part of a mode.
func (m *Mode) take(o *Options) (err error) {
	for _, sw := range []struct {
		name string
		to   *bool
	}{
		{optDirect, &m.Direct}, {optNoFlush, &m.NoFlush}, {optReadOnly, &m.ReadOnly}, {optAutoReadOnly, &m.AutoReadOnly}, {optForceShare, &m.ForceShare},
	} {
		if *sw.to, err = o.TakeBool(sw.name, *sw.to); err != nil {
			return err
		}
	}
	if m.ForceShare && !m.ReadOnly {
		return Errorf(unix.EINVAL, "force-share=on can only be used with read-only images")
	}
	if m.CopyOnRead && m.ReadOnly {
		return Errorf(unix.EINVAL, "Can't use copy-on-read on read-only device")
	}
	if err := m.takeDiscard(o); err != nil {
		return err
	}
	return m.takeDetectZeroes(o)
}

func (m *Mode) takeDiscard(o *Options) error {
	switch v, ok := o.TakeString(optDiscard); {
	case !ok:
	case v == "unmap" || v == "on":
		m.Unmap = true
	case v == "ignore" || v == "off":
		m.Unmap = false
	default:
		return Errorf(unix.EINVAL, "Invalid discard option")
	}
	return nil
}

var detectNames = [...]string{"off", "on", "unmap"}

func (d DetectZeroes) String() string { return detectNames[d] }

func (m *Mode) takeDetectZeroes(o *Options) error {
	v, ok := o.TakeString(optDetectZeroes)
	if !ok {
		return nil
	}
	for i, name := range detectNames {
		if v == name {
			m.DetectZeroes = DetectZeroes(i)
			if m.DetectZeroes == DetectUnmap && !m.Unmap {
				return Errorf(unix.EINVAL, "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap")
			}
			return nil
		}
	}
	return Errorf(unix.EINVAL, "invalid parameter value: %s", v)
}

// openDriver makes the node's state.
func (op *opening) openDriver(ctx context.Context, n *Node, d *Driver, file *Node) error {
	name, err := op.takeCommon(n)
	if err != nil {
		return err
	}
	if file != nil {
		file.refreshFilename()
		n.filename = file.filename
	} else {
		n.filename = op.options.text(optFilename)
	}
	n.exactFilename = n.filename
	if d.NeedsFilename && n.filename == "" {
		return Errorf(unix.EINVAL, "The '%s' block driver requires a file name", d.Name)
	}
	if err := op.g.nameNode(n, name); err != nil {
		return err
	}
	n.driver = d
	n.inactive = n.mode.Inactive
	if n.mode.CopyOnRead {
		n.EnableCopyOnRead()
	}
	n.traceOpen()
	state, err := d.Open(ctx, n, op.options)
	if err != nil {
		var e *Error
		var no unix.Errno
		switch {
		case errors.As(err, &e) || !errors.As(err, &no):
			return err
		case n.filename != "":
			return Errnof(no, "Could not open '%s'", n.filename)
		}
		return Errnof(no, "Could not open image")
	}
	n.state = state
	if b, ok := state.(Backed); ok {
		n.SetBackingFile(b.BackingFile())
	}
	if err := n.refreshLength(ctx); err != nil {
		return Errnof(Errno(err), "Could not refresh total sector count")
	}
	return n.refreshLimits()
}

// finish opens the backing file and refuses options that nobody understood.
func (op *opening) finish(ctx context.Context, n *Node) error {
	if !op.mode.NoBacking {
		if err := n.openBacking(ctx, op.options); err != nil {
			return err
		}
	}
	for _, c := range n.children {
		for _, o := range []*Options{n.options, n.explicit} {
			o.Extract(c.name)
			o.Delete(c.name)
		}
	}
	if names := op.options.Order(); len(names) > 0 {
		text := "Block format '%s' does not support the option '%s'"
		if n.driver.Protocol {
			text = "Block protocol '%s' doesn't support the option '%s'"
		}
		return &LeftoverError{Err: &Error{Errno: unix.EINVAL, Text: fmt.Sprintf(text, n.driver.Name, names[0])}, Path: op.path + names[0]}
	}
	n.refreshFilename()
	return op.g.refreshPerms(n)
}

// LeftoverError is the error for an option that nobody understood.
type LeftoverError struct {
	Err  *Error
	Path string // of the option, from the node that was to be opened
}

func (e *LeftoverError) Error() string { return e.Err.Text }

// Unwrap gives the Error to errors.As.
func (e *LeftoverError) Unwrap() error { return e.Err }

// abandon takes back what a failed opening attached.
func (n *Node) abandon() {
	if n.state != nil {
		n.state.Close()
	}
	for len(n.children) > 0 {
		n.graph.detach(n.children[len(n.children)-1])
	}
	n.graph.forget(n)
}

// maxNodeName is the longest node-name.
const maxNodeName = 31

// nameNode gives the node its name and enters it in the graph.
func (g *Graph) nameNode(n *Node, name string) error {
	switch {
	case name == "":
		name = g.autoName()
	case !config.WellFormedID(name):
		return Errorf(unix.EINVAL, "Invalid node-name: '%s'", name)
	case g.FindBackend(name) != nil:
		return Errorf(unix.EINVAL, "node-name=%s is conflicting with a device id", name)
	case g.Find(name) != nil:
		return Errorf(unix.EINVAL, "Duplicate nodes with node-name='%s'", name)
	case len(name) > maxNodeName:
		return Errorf(unix.EINVAL, "Node name too long")
	}
	n.name = name
	g.nodes = append(g.nodes, n)
	return nil
}

// autoName makes the next automatic node-name.
func (g *Graph) autoName() string {
	g.serial++
	return fmt.Sprintf("#block%03d", g.serial)
}

// OpenChild attaches the child that the options name: "file=NODE" refers to a node, "file.driver=…" (and the rest of file.*) opens one.
// It is called by a driver's Open. A missing child gives nil unless required.
// Preconditions: the graph lock is held.
func (n *Node) OpenChild(ctx context.Context, o *Options, name string, role Role, required bool) (*Child, error) {
	return n.OpenChildFile(ctx, "", o, name, role, required)
}

// OpenChildFile is OpenChild with a filename for a child whose options do not say what it is.
// Preconditions: the graph lock is held.
func (n *Node) OpenChildFile(ctx context.Context, filename string, o *Options, name string, role Role, required bool) (*Child, error) {
	child, err := n.openChildNode(ctx, filename, o, name, role, required, false)
	if child == nil || err != nil {
		return nil, err
	}
	return n.graph.attachChild(n, child, name, role)
}

// OpenChildLiteral is OpenChildFile for names that an image contains: prefixes such as "nbd:" and "json:" mean nothing in them.
// Preconditions: the graph lock is held.
func (n *Node) OpenChildLiteral(ctx context.Context, filename string, o *Options, name string, role Role, required bool) (*Child, error) {
	child, err := n.openChildNode(ctx, filename, o, name, role, required, true)
	if child == nil || err != nil {
		return nil, err
	}
	return n.graph.attachChild(n, child, name, role)
}

// openChildNode finds or opens the node that the options call name. The caller owns a reference.
func (n *Node) openChildNode(ctx context.Context, filename string, o *Options, name string, role Role, required, literal bool) (*Node, error) {
	sub := o.Extract(name)
	ref, isRef := o.TakeString(name)
	switch {
	case isRef:
		return n.graph.reference(ref, filename, sub)
	case filename == "" && sub.Len() == 0:
		if required {
			return nil, Errorf(unix.EINVAL, "A block device must be specified for \"%s\"", name)
		}
		return nil, nil
	}
	op := &opening{g: n.graph, filename: filename, options: sub, parent: n, role: role, literal: literal, path: n.path + name + "."}
	return op.run(ctx)
}

// reference finds the node or the root of the backend with the name, and counts a user more.
func (g *Graph) reference(ref, filename string, o *Options) (*Node, error) {
	if filename != "" || o.Len() > 0 {
		return nil, Errorf(unix.EINVAL, "Cannot reference an existing block device with additional options or a new filename")
	}
	n, err := g.Lookup(ref, ref)
	if err == nil {
		n.refs++
	}
	return n, err
}

// OpenReference opens what a reference to a node describes: its options, or under the empty name the name of one that is open. The caller owns
// one reference.
// Preconditions: the graph lock is held.
func (g *Graph) OpenReference(ctx context.Context, o *Options) (*Node, error) {
	if name, ok := o.TakeString(""); ok {
		return g.reference(name, "", o)
	}
	return g.Open(ctx, "", o, Mode{})
}

// Lookup finds a node by the name of a backend or its node-name; either may be empty.
// Preconditions: the graph lock is held.
func (g *Graph) Lookup(device, node string) (*Node, error) {
	if device != "" {
		if b := g.FindBackend(device); b != nil {
			if b.Node() == nil {
				return nil, Errorf(unix.ENOMEDIUM, "Device '%s' has no medium", device)
			}
			return b.Node(), nil
		}
	}
	if node != "" {
		if n := g.Find(node); n != nil {
			return n, nil
		}
	}
	return nil, Errorf(unix.EINVAL, "Cannot find device='%s' nor node-name='%s'", device, node)
}
