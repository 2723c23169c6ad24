package vmstate

import "encoding/json"

// Layout is a description without its functions, in the form of QEMU's -dump-vmstate.
type Layout struct {
	Name        string        `json:"name"`
	Version     int           `json:"version_id"`
	MinVersion  int           `json:"minimum_version_id"`
	Fields      []LayoutField `json:"Fields,omitzero"`
	Subsections []*Layout     `json:"Subsections,omitempty"`
}

// LayoutField is one field of a Layout. Size is zero for nested objects: theirs is the size of a C structure in QEMU.
type LayoutField struct {
	Field       string  `json:"field"`
	Version     int     `json:"version_id"`
	Conditional bool    `json:"field_exists"`
	Size        int     `json:"size"`
	Nested      *Layout `json:"Description,omitempty"`
}

// Layout returns the description as data, which is made once and must not be changed.
func (d *Description[T]) Layout() *Layout {
	l := d.layout.Load()
	if l == nil {
		l = d.makeLayout()
		d.layout.Store(l)
	}
	return l
}

func (d *Description[T]) makeLayout() *Layout {
	l := &Layout{Name: d.Name, Version: d.Version, MinVersion: d.MinVersion, Fields: []LayoutField{}}
	for i := range d.Fields {
		f := &d.Fields[i]
		lf := LayoutField{Field: f.name, Version: f.since, Conditional: f.when != nil, Size: f.size}
		if f.nested != nil {
			lf.Nested = f.nested()
		}
		l.Fields = append(l.Fields, lf)
	}
	for _, s := range d.Subsections {
		if !s.Private {
			l.Subsections = append(l.Subsections, s.Layout())
		}
	}
	return l
}

// JSON returns the layout as text.
func (l *Layout) JSON() []byte {
	b, err := json.MarshalIndent(l, "", " ")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return b
}
