package vmstate

// Node describes a state as it was saved: what QEMU's streams have behind their end.
type Node struct {
	Name     string      `json:"vmsd_name"`
	Version  int         `json:"version"`
	Fields   []nodeField `json:"fields"`
	Sections []*Node     `json:"subsections,omitempty"`
}

// nodeField is one field of a Node. An array is described by its first element and its length, or, where elements differ, element by
// element.
type nodeField struct {
	Name   string `json:"name"`
	Len    int    `json:"array_len,omitempty"`
	Index  *int   `json:"index,omitempty"`
	Type   string `json:"type"`
	Struct *Node  `json:"struct,omitempty"`
	Size   int    `json:"size"`
}

// SaveDescribed appends the state of s and returns its description.
func SaveDescribed(s State, w *Writer) *Node {
	n := new(Node)
	w.node = n
	s.Save(w)
	w.node = nil
	return n
}

// SaveRaw appends a state whose parts nobody knows.
func SaveRaw(w *Writer, name string, version int, data []byte) {
	w.node.begin(name, version, 1)
	if w.node != nil {
		w.node.Fields = append(w.node.Fields, nodeField{Name: "data", Type: "buffer", Size: len(data)})
	}
	w.Raw(data)
}

func (n *Node) begin(name string, version, fields int) {
	if n != nil {
		n.Name, n.Version, n.Fields = name, version, make([]nodeField, 0, fields)
	}
}

func (n *Node) subsection() *Node {
	if n == nil {
		return nil
	}
	s := new(Node)
	n.Sections = append(n.Sections, s)
	return s
}

// add notes element i of n.
func (n *Node) add(f nodeField, i, count int, alike bool) {
	switch {
	case alike:
		f.Len = count
	case count > 1:
		f.Index = &i
	}
	n.Fields = append(n.Fields, f)
}

// fixed tells whether every state of the layout has the same form.
func (l *Layout) fixed() bool {
	if len(l.Subsections) > 0 {
		return false
	}
	for _, f := range l.Fields {
		if f.Conditional || f.Nested != nil && !f.Nested.fixed() {
			return false
		}
	}
	return true
}
