package block

// Role says what a child holds for its parent. Default permissions follow from it (see Driver.ChildPerm).
type Role uint8

// The roles; a child can have several.
const (
	RoleData     Role = 1 << iota // guest data
	RoleMetadata                  // the format's own tables
	RoleFiltered                  // the parent passes requests through unchanged
	RoleCOW                       // backing file: read where the parent has nothing
	RolePrimary                   // the child that gives the parent its name

	// RoleImage is the role of a format's file: tables and data in one.
	RoleImage = RoleData | RoleMetadata
)
