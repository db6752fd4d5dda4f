package folder

// Describe implements data.Described: the name is that below the folder.
func (s *Set) Describe(i int) (label int, name string) {
	s.checkIndex(i)
	return s.items[i].Label, s.items[i].Name
}
