// Package corpus reads text: from files, folders and streams to documents of
// clean paragraphs, and from paragraphs to sentences.
//
// It guarantees that memory stays bounded whatever the input, that the order of
// documents is a function of the inputs alone, and that a bad record never ends
// the run: it is set aside with its place and reason. An input that cannot be a corpus
// at all (a missing file, a binary file given alone) is an *InputError.
//
// It does not tokenize, de-duplicate or guess languages, and it does not know
// Parquet, PDF or office formats: it refuses them by name.
package corpus
