"""Step 7, prescription: what the doctor prescribes, whether the post may carry it, the signature."""
