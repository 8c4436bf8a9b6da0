//! What holds for every document, however it was read.

use nightclerk::extract::Document;

/// Pages count from 1 without gaps, maps fit, and blocks ascend within both layers.
pub fn layers_hold(document: &Document) {
    for (index, page) in document.pages.iter().enumerate() {
        assert_eq!(page.number as usize, index + 1);
        assert!(page.map.fits(&page.model, &page.verbatim), "page {}", page.number);
        let (mut verbatim, mut model) = (0, 0);
        for block in &page.blocks {
            assert!(block.verbatim.start >= verbatim && block.model.start >= model);
            (verbatim, model) = (block.verbatim.end, block.model.end);
            let text = &page.verbatim[block.verbatim.start as usize..verbatim as usize];
            assert!(!page.model[block.model.start as usize..model as usize].is_empty());
            if let Some(label) = &block.label {
                assert!(text.starts_with(label.as_str()), "{label:?} starts {text:?}");
            }
            assert_eq!(page.map.to_verbatim(block.model.clone()), block.verbatim);
        }
        assert!(verbatim as usize <= page.verbatim.len() && model as usize <= page.model.len());
    }
    assert!(document.remarks.iter().all(|remark| remark.page as usize <= document.pages.len()));
}
