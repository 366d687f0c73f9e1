// Package wordpiece cuts text into the pieces of a WordPiece vocabulary, and
// trains such vocabularies.
//
// It guarantees:
//   - Encode gives the ids that Hugging Face's fast BertTokenizer gives without
//     special tokens, for any bytes: where Google's tokenizer differs from
//     theirs, theirs is followed. Bytes that are not UTF-8 count as U+FFFD;
//   - a Tokenizer never changes and may be used from many goroutines. Encode takes
//     time in proportion to the text, and allocates nothing but room in its result;
//   - Train gives the same vocabulary for the same text in the same order;
//   - Load reads the files that Files writes, and so does transformers' AutoTokenizer.
//
// It does not read other kinds of tokenizers (byte-level BPE, SentencePiece), nor
// a BERT tokenizer whose normalizer or limits are not BERT's own: Load says so.
package wordpiece
