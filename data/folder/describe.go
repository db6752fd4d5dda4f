package folder

// Describe implements data.Described. The name is the path below the folder.
func (s *Set) Describe(i int) (label int, name string) {
	s.checkIndex(i)
	return s.items[i].Label, s.items[i].Name
}
